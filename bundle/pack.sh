#!/bin/sh
# Packs the jars that the profile "bundle" has gathered into an archive with a Java runtime, for machines that have nothing.
#   pack.sh JAVA_HOME FILE
set -eu
root=$(CDPATH='' cd "$(dirname "$0")/.." && pwd -P)
home=$1
file=$2
limit_mb=45
# java.desktop draws the curves of a run and reads images; the others serve logging, JMH, JavaCPP and the console's tests.
modules=java.base,java.desktop,java.logging,java.management,java.xml,jdk.management,jdk.unsupported,jdk.zipfs

say() { printf '%s\n' "$*" >&2; }
die() {
  say "gradus bundle: $*"
  exit 1
}

command -v tar > /dev/null || die "tar is missing: apt-get install tar"
command -v xz > /dev/null || die "xz is missing: apt-get install xz-utils"
[ -x "$home/bin/jlink" ] || die "$home has no bin/jlink, which makes the Java runtime: install a full JDK (apt-get install openjdk-17-jdk-headless) or point JAVA_HOME at one"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
name=gradus-linux-$(uname -m)
bundle=$work/$name
mkdir "$bundle"

make_runtime() {
  "$home/bin/jlink" --add-modules "$modules" --no-header-files --no-man-pages --strip-java-debug-attributes \
    --output "$bundle/runtime" > "$work/jlink.log" 2>&1 \
    || die "jlink failed ($(sed 1q "$work/jlink.log")): it needs a JDK with the folder jmods, or 24 and newer that links from its own image; point JAVA_HOME at one"
  # These serve a screen and a sound card, and need half of a desktop's libraries.
  for desktop in awt_xawt jawt jsound splashscreen; do
    rm -f "$bundle/runtime/lib/lib$desktop.so"
  done
}

# What the launcher's java line says beyond the class path; from 24 on the JVM warns of native libraries unless told.
write_options() {
  printf '%s\n' -XX:+UseG1GC -Xshare:auto -Djava.awt.headless=true > "$bundle/runtime/options"
  version=$(sed -n 's/^JAVA_VERSION="\([0-9]*\).*/\1/p' "$bundle/runtime/release")
  [ "$version" -lt 24 ] \
    || printf '%s\n' --enable-native-access=ALL-UNNAMED --sun-misc-unsafe-memory-access=allow >> "$bundle/runtime/options"
}

# Java as Linux distributions build it uses the system's zlib, FreeType, ...; bin/java looks for them in runtime/lib first.
add_libraries() {
  find "$bundle/runtime" -type f \( -name '*.so' -o -path '*/bin/java' \) -exec ldd {} + > "$work/libraries"
  sed -n 's|.* => \(/[^ ]*\) .*|\1|p' "$work/libraries" | sort -u | while IFS= read -r library; do
    case $library in
      "$bundle"/* | */libc.so.* | */libm.so.* | */libdl.so.* | */libpthread.so.* | */librt.so.* | */ld-linux*) ;;
      *) cp -L "$library" "$bundle/runtime/lib/" ;;
    esac
  done
  # The virtual machine itself lies in a folder of its own, where the launcher finds it.
  missing=$(sed -n 's|^[[:space:]]*\(.*\) => not found.*|\1|p' "$work/libraries" | grep -v '^libjvm\.so$' | sort -u | tr '\n' ' ')
  [ -z "$missing" ] || die "the libraries that Java's own need are missing here: $missing"
}

add_font() {
  font=$(find /usr/share/fonts /usr/local/share/fonts -name DejaVuSans.ttf 2> /dev/null | sed 1q)
  if [ -z "$font" ]; then
    say "gradus bundle: no DejaVuSans.ttf here (apt-get install fonts-dejavu-core): 'train' will need a machine with fonts"
    return
  fi
  mkdir -p "$bundle/runtime/lib/fonts"
  cp "$font" "$bundle/runtime/lib/fonts/"
  [ ! -f /usr/share/doc/fonts-dejavu-core/copyright ] || cp -L /usr/share/doc/fonts-dejavu-core/copyright "$bundle/runtime/lib/fonts/"
  cp "$root/bundle/fontconfig.properties" "$bundle/runtime/lib/"
}

# Jars without compression of their own: xz then sees alike classes beside each other, and the archive is 4 MB smaller.
add_jars() {
  for folder in lib test; do
    mkdir "$bundle/$folder"
    for jar in "$root/bundle/target/$folder"/*.jar; do
      mkdir "$work/jar"
      (cd "$work/jar" && "$home/bin/jar" --extract --file "$jar" && "$home/bin/jar" --create --no-compress --no-manifest --file "$bundle/$folder/${jar##*/}" .)
      rm -rf "$work/jar"
    done
  done
  "$home/bin/jar" --create --no-compress --file "$bundle/test/gradus-tests.jar" -C "$root/java/target/test-classes" .
  grep -rl 'extends OpTestCase' "$root/java/src/test/java" | sed 's|.*/||; s|\.java$||' | sort > "$bundle/test/operations"
  [ -s "$bundle/test/operations" ] || die "found no test of operations in $root/java/src/test/java"
}

# The worker of cuBLAS and cuDNN, with the manifest that names its class path; of what binds CUDA's libraries only the three that it
# calls, and jars that the bundle has already as links.
add_cuda_peer() {
  built=$root/benchmarks/peers/cuda/target
  target=$bundle/peers/cuda/target
  mkdir -p "$target/lib"
  for jar in "$built"/gradus-peer-cuda-*.jar "$built"/lib/*.jar; do
    name_of_jar=${jar##*/}
    case $jar in
      *-sources.jar | *-javadoc.jar) continue ;;
      "$built"/lib/*)
        for folder in lib test; do
          [ ! -f "$bundle/$folder/$name_of_jar" ] || {
            ln -s "../../../../$folder/$name_of_jar" "$target/lib/"
            continue 2
          }
        done
        to=$target/lib/$name_of_jar
        ;;
      *) to=$target/$name_of_jar ;;
    esac
    mkdir "$work/jar"
    (
      cd "$work/jar"
      "$home/bin/jar" --extract --file "$jar"
      find . -name 'libjni*.so' ! -name libjnijavacpp.so ! -name libjnicudart.so ! -name libjnicublas.so ! -name libjnicudnn.so -exec rm {} +
      mv META-INF/MANIFEST.MF "$work/manifest"
      "$home/bin/jar" --create --no-compress --manifest "$work/manifest" --file "$to" .
    )
    rm -rf "$work/jar"
  done
}

# The native tests for a GPU, in the same folder as the script that runs them.
add_gpu_check() {
  build=$root/native/target/emulated
  [ -f "$root/native/gpu-check.sh" ] && [ -d "$build" ] || return 0
  mkdir "$bundle/gpu-check"
  cp "$root/native/gpu-check.sh" "$bundle/gpu-check/"
  find "$build" -type f -perm -u+x \( -name gradus_cuda_tests -o -name gradus_conformance \) -exec cp {} "$bundle/gpu-check/" \;
}

say "Packing the bundle..."
make_runtime
write_options
add_libraries
add_font
add_jars
add_cuda_peer
add_gpu_check
cp "$root/bundle/launcher.sh" "$bundle/gradus"
cp "$root/bundle/gpu-report.sh" "$bundle/"
cp "$root/LICENSE" "$bundle/"
chmod -R u+w,a+rX "$bundle"
chmod a+x "$bundle/gradus"

mkdir -p "$(dirname "$file")"
tar -C "$work" --sort=name --mtime=@1767225600 --owner=0 --group=0 --numeric-owner -cf - "$name" | xz -9 -T0 > "$work/archive"
bytes=$(wc -c < "$work/archive")
[ "$bytes" -le $((limit_mb * 1000000)) ] \
  || die "the bundle would be $((bytes / 1000000)) MB, more than $limit_mb MB: -Dgradus.cuda.architectures=90a-real, say, leaves out other GPUs"
mv "$work/archive" "$file"
find "$bundle/lib" -name 'gradus-native-*.jar' -exec "$home/bin/jar" --list --file {} \; | grep -q 'libgradus_cuda' \
  || say "gradus bundle: without the CUDA device, which is built where nvcc 12.8 or newer is (from NVIDIA's CUDA toolkit)"
[ -d "$bundle/gpu-check" ] || say "gradus bundle: without gpu-check, whose programs were not built"
say "$file: $((bytes / 1000000)).$((bytes / 100000 % 10)) MB"
