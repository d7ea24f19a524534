package io.gradus.backend.plugin;

import io.gradus.backend.plugin.jni.Native;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Map;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.Pointer;
import org.jspecify.annotations.Nullable;

/**
 * A loaded plug-in library, or the reason why there is none. The system property {@code
 * gradus.plugins} names a folder that is searched instead of the jar.
 *
 * @param name cuda, emulated, ...
 * @param handle what its functions are called with; 0 when it did not load
 * @param problem why it did not load and what would help; null when it did
 */
record Plugin(String name, long handle, @Nullable String problem) {
  private static final String FOLDER = "gradus.plugins";

  /** The endings of libraries that a plug-in looks for beside itself. */
  private static final Map<String, List<String>> BESIDE = Map.of("cpu", List.of("avx512", "avx2"));

  private static final int MESSAGE_BYTES = 2048;

  /** Loads the library of a plug-in. */
  static Plugin load(String name) {
    String file = file(name);
    try {
      File library = find(file);
      if (library == null) {
        return missing(name, "this build has no " + file + ": " + remedy(name));
      }
      for (String ending : BESIDE.getOrDefault(name, List.of())) {
        find(file(name + "_" + ending));
      }
      // First of all: JavaCPP's own pointers work only when the library that serves them is there.
      Loader.load(Native.class);
      ByteBuffer handle = words(1);
      if (Native.gr_load(library.getPath(), address(handle)) != Native.GR_OK) {
        return missing(
            name, file + " does not load: " + oneLine(Native.gr_load_error().getString()));
      }
      return new Plugin(name, handle.getLong(0), null);
    } catch (IOException | LinkageError e) {
      return missing(
          name,
          "the native part does not load ("
              + oneLine(String.valueOf(e.getMessage()))
              + "): "
              + remedy(name));
    }
  }

  private static String file(String name) {
    return "libgradus_" + name + ".so";
  }

  private static Plugin missing(String name, String problem) {
    return new Plugin(name, 0, problem);
  }

  private static String remedy(String name) {
    String build =
        switch (name) {
          case "cuda" -> "build Gradus where nvcc is installed";
          case "emulated" ->
              "\"./gradus train --device emulated\" builds it where g++, make and CMake are installed";
          default -> "build Gradus where g++, make and CMake are installed";
        };
    return build + ", or take a release for this platform (" + Loader.getPlatform() + ")";
  }

  /** A library as a file of its own, taken out of the jar where it is in one. */
  private static @Nullable File find(String file) throws IOException {
    String folder = System.getProperty(FOLDER);
    if (folder != null) {
      File library = new File(folder, file);
      return library.isFile() ? library : null;
    }
    return Loader.cacheResource(Native.class, Loader.getPlatform() + "/" + file);
  }

  /** The calling thread's last message of this plug-in. */
  String error() {
    ByteBuffer text = ByteBuffer.allocateDirect(MESSAGE_BYTES);
    Native.gr_error(address(text), MESSAGE_BYTES, handle);
    return oneLine(string(text));
  }

  /** The text up to the first 0. */
  static String string(ByteBuffer text) {
    int length = 0;
    while (length < text.capacity() && text.get(length) != 0) {
      length++;
    }
    byte[] bytes = new byte[length];
    text.get(0, bytes);
    return new String(bytes, StandardCharsets.UTF_8);
  }

  private static String oneLine(String text) {
    return text.strip().replaceAll("\\s*\\R\\s*", "; ");
  }

  /** Memory for 64-bit words that C functions read and write. */
  static ByteBuffer words(int count) {
    return ByteBuffer.allocateDirect(count * Long.BYTES).order(ByteOrder.nativeOrder());
  }

  /** The address of a direct buffer. */
  static long address(ByteBuffer buffer) {
    return new Pointer(buffer).address();
  }

  /** Memory of C as a buffer that does not own it. */
  static ByteBuffer buffer(long address, long bytes) {
    return Native.gr_pointer(address).capacity(bytes).asByteBuffer().order(ByteOrder.nativeOrder());
  }
}
