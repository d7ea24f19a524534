# gradus_kernel_sources(variable groups...): the sources of op groups; a group may have further files GROUP_*.cu.
function(gradus_kernel_sources variable)
  set(sources src/kernels/noop.cu)
  foreach(group IN LISTS ARGN)
    file(GLOB files RELATIVE "${PROJECT_SOURCE_DIR}" CONFIGURE_DEPENDS
         "${PROJECT_SOURCE_DIR}/src/kernels/${group}.cu" "${PROJECT_SOURCE_DIR}/src/kernels/${group}_*.cu")
    list(APPEND sources ${files})
  endforeach()
  set(${variable} ${sources} PARENT_SCOPE)
endfunction()

# gradus_plugin(name sources...): lib/libgradus_NAME.so with the function table of include/gradus/table.h. It brings along
# everything but libc, and shows nothing but gr_plugin.
function(gradus_plugin name)
  add_library(gradus_${name} MODULE ${PROJECT_SOURCE_DIR}/src/plugin/table.cpp ${ARGN})
  target_include_directories(gradus_${name} PRIVATE ${PROJECT_SOURCE_DIR}/src ${PROJECT_SOURCE_DIR}/include)
  string(REGEX REPLACE "_.*" "" plugin ${name})
  target_compile_definitions(gradus_${name} PRIVATE GRADUS_PLUGIN_NAME="${plugin}")
  target_link_options(gradus_${name} PRIVATE -static-libstdc++ -static-libgcc -Wl,--exclude-libs,ALL -Wl,-s -Wl,-z,defs)
  set_target_properties(gradus_${name} PROPERTIES LIBRARY_OUTPUT_DIRECTORY "${CMAKE_BINARY_DIR}/lib")
  gradus_warnings(gradus_${name})
endfunction()
