package io.gradus.benchmarks.engines;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

class LibraryWorkerTest {
  @Test
  void foldersOfTheUserThenOfPythonThenOfTheToolkit() {
    assertEquals("/usr/local/cuda/lib64", LibraryWorker.path(Map.of(), ""));
    assertEquals(
        "/mine:/python/a:/python/b:/opt/cuda/lib64",
        LibraryWorker.path(
            Map.of("LD_LIBRARY_PATH", "/mine", "CUDA_HOME", "/opt/cuda"), "/python/a:/python/b"));
  }

  @Test
  void aPythonThatCannotSayIsNoFolder() {
    assertEquals("/a:/b", LibraryWorker.ofPython(List.of("sh", "-c", "echo /a:/b")));
    assertEquals("", LibraryWorker.ofPython(List.of("sh", "-c", "echo /a; exit 1")));
    assertEquals("", LibraryWorker.ofPython(List.of("/nowhere/python3")));
    assertTrue(LibraryWorker.environment().get("LD_LIBRARY_PATH").endsWith("/lib64"));
  }

  @Test
  void eachLibraryHasKernelsOfItsOwn() {
    assertTrue(LibraryWorker.knows("cublas", "matmul NT 1 2 3 float32"));
    assertFalse(LibraryWorker.knows("cudnn", "matmul NT 1 2 3 float32"));
    assertTrue(LibraryWorker.knows("cudnn", "conv forward 1 2 3 4 5 6 float32"));
    assertFalse(LibraryWorker.knows("cudnn", ""));
    assertFalse(LibraryWorker.knows("pytorch", "matmul NT 1 2 3 float32"));
  }

  @Test
  void everyPeersFolderHasItsName() throws IOException {
    Set<String> named = new HashSet<>(Peers.NAMES);
    named.add(LibraryWorker.PEER);
    try (Stream<Path> folders = Files.list(Path.of("peers"))) {
      assertEquals(
          named,
          folders
              .filter(folder -> Files.exists(folder.resolve("pom.xml")))
              .map(folder -> folder.getFileName().toString())
              .collect(Collectors.toSet()));
    }
  }
}
