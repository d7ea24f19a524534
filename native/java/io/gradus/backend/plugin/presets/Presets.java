package io.gradus.backend.plugin.presets;

import org.bytedeco.javacpp.annotation.NoException;
import org.bytedeco.javacpp.annotation.Platform;
import org.bytedeco.javacpp.annotation.Properties;
import org.bytedeco.javacpp.tools.Info;
import org.bytedeco.javacpp.tools.InfoMap;
import org.bytedeco.javacpp.tools.InfoMapper;

/**
 * Tells JavaCPP which headers of the C ABI to bind: its parser makes {@code
 * io.gradus.backend.plugin.jni.Native} of them. The calls go through {@code gradus/calls.h}, which
 * finds the plug-in behind a call's last argument.
 */
@Properties(
    value =
        @Platform(
            include = {
              "gradus/abi.h",
              "gradus/runtime.h",
              "gradus/attention.h",
              "gradus/conv.h",
              "gradus/elementwise.h",
              "gradus/image.h",
              "gradus/indexing.h",
              "gradus/loss.h",
              "gradus/matmul.h",
              "gradus/norm.h",
              "gradus/optim.h",
              "gradus/pool.h",
              "gradus/random.h",
              "gradus/reduce.h",
              "gradus/softmax.h",
              "gradus/loader.h",
              "gradus/calls.h"
            },
            library = "jnigradus"),
    target = "io.gradus.backend.plugin.jni",
    global = "io.gradus.backend.plugin.jni.Native")
@NoException(true)
public class Presets implements InfoMapper {
  /** For JavaCPP. */
  public Presets() {}

  @Override
  public void map(InfoMap infoMap) {
    infoMap
        .put(new Info("GR_BEGIN").cppText("#define GR_BEGIN namespace calls {"))
        .put(new Info("GR_END").cppText("#define GR_END }"))
        // Compiled into the library, not parsed: a pattern that no line matches.
        .put(new Info("gradus/calls.h", "calls.h").linePatterns("(?!)"));
  }
}
