package io.gradus.backend.plugin;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Every way in which a plug-in does not load has one line of its own, with the remedy. */
class PluginLoadingTest {
  private static final String FOLDER = "gradus.plugins";
  private static final String REMEDY = "take a release for this platform";

  @TempDir private Path folder;
  private String before;

  @BeforeEach
  void searchInTheFolder() {
    CLibrary.assumeBuilt("emulated");
    before = System.getProperty(FOLDER);
    System.setProperty(FOLDER, folder.toString());
  }

  @AfterEach
  void searchAsBefore() {
    if (before == null) {
      System.clearProperty(FOLDER);
    } else {
      System.setProperty(FOLDER, before);
    }
  }

  private static void refused(String name, String... parts) {
    Plugin plugin = Plugin.load(name);
    String problem = String.valueOf(plugin.problem());
    assertEquals(0, plugin.handle(), problem);
    assertEquals(1, problem.lines().count(), problem);
    assertFalse(problem.contains("Exception"), problem);
    for (String part : parts) {
      assertTrue(problem.contains(part), problem);
    }
  }

  @Test
  void aMissingLibraryNamesWhatBuildsIt() {
    refused("cuda", "this build has no libgradus_cuda.so", "where nvcc is installed", REMEDY);
    refused("emulated", "this build has no libgradus_emulated.so", "g++, make and CMake", REMEDY);
  }

  @Test
  void aFileThatIsNoLibraryIsNamed() throws IOException {
    Path file = folder.resolve("libgradus_cuda.so");
    Files.writeString(file, "no library at all");
    refused("cuda", "does not load", file.toString(), "damaged", REMEDY);
  }

  @Test
  void aLibraryThatIsNoPluginIsNamed() throws Exception {
    Path file = folder.resolve("libgradus_cuda.so");
    CLibrary.compile(file, "int something_else(void) { return 1; }");
    refused("cuda", file + " is not a plug-in of Gradus", REMEDY);
  }

  @Test
  void aLibraryThatLacksAnotherIsNamed() throws Exception {
    Path file = folder.resolve("libgradus_cuda.so");
    CLibrary.compile(file, "extern int absent(void); int gr_plugin(void) { return absent(); }");
    refused("cuda", "does not load", "absent", REMEDY);
  }

  @Test
  void aPluginOfAnotherInterfaceSaysBothVersions() throws Exception {
    Path file = folder.resolve("libgradus_cuda.so");
    CLibrary.compile(
        file,
        "static struct { void *self; long abi; const char *name; } table;"
            + " void *gr_plugin(void) { table.self = &table; table.abi = 987; return &table; }");
    refused("cuda", "version 987 of the plug-in interface", "build them from the same sources");
  }

  @Test
  void whatTheBuildMadeLoads() {
    searchAsBefore();
    Plugin plugin = Plugin.load("emulated");
    assertNull(plugin.problem());
    assertNotEquals(0, plugin.handle());
  }
}
