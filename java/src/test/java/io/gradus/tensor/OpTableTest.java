package io.gradus.tensor;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.reflect.Constructor;
import java.lang.reflect.Method;
import java.lang.reflect.Modifier;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/**
 * Every public operation has a case in some {@link OpTestCase}: methods of {@link Tensor} that
 * return tensors, and public static methods of the package's other classes that do.
 */
class OpTableTest {
  private static final Set<String> NOT_OPERATIONS =
      Set.of(
          // They make a tensor from values.
          "empty",
          "full",
          "scalar",
          "zeros",
          "ones",
          "arange",
          "of",
          "fromBytes",
          "rand",
          "randn",
          "randint",
          // They read or set what autograd knows of a tensor: AutogradTest, GradientHooksTest.
          "requiresGrad",
          "grad",
          "detach",
          "setData",
          // They change a tensor in place: InPlaceTest.
          "copyFrom",
          "fill",
          "addInPlace",
          "subInPlace",
          "mulInPlace");

  /** Static methods of other classes that hand tensors on, with the test that covers them. */
  private static final Map<String, String> ELSEWHERE =
      Map.of(
          "Autograd.grad", "AutogradTest",
          "GradientCheckpoint.apply", "GradientCheckpointTest",
          "Scope.escape", "LifetimeTest");

  private static String signature(Method method) {
    String types =
        Arrays.stream(method.getParameterTypes())
            .map(Class::getSimpleName)
            .collect(Collectors.joining(","));
    return method.getName() + "(" + types + ")";
  }

  private static boolean returnsTensors(Method method) {
    return method.getReturnType() == Tensor.class || method.getReturnType() == Tensor[].class;
  }

  /** The classes compiled into the same folder and package as another. */
  private static List<Class<?>> siblings(Class<?> of)
      throws IOException, URISyntaxException, ClassNotFoundException {
    Path root = Path.of(of.getProtectionDomain().getCodeSource().getLocation().toURI());
    Path folder = root.resolve(of.getPackageName().replace('.', '/'));
    List<String> names;
    try (Stream<Path> files = Files.list(folder)) {
      names =
          files
              .map(f -> f.getFileName().toString())
              .filter(n -> n.endsWith(".class") && !n.contains("$") && !n.contains("-"))
              .map(n -> of.getPackageName() + "." + n.substring(0, n.length() - ".class".length()))
              .sorted()
              .toList();
    }
    List<Class<?>> classes = new ArrayList<>();
    for (String name : names) {
      classes.add(Class.forName(name));
    }
    return classes;
  }

  private static Set<String> operations() throws Exception {
    Set<String> out = new TreeSet<>();
    for (Method method : Tensor.class.getMethods()) {
      if (returnsTensors(method) && !method.isBridge()) {
        if (!NOT_OPERATIONS.contains(method.getName())) {
          out.add(signature(method));
        }
      }
    }
    for (Class<?> type : siblings(Tensor.class)) {
      if (type == Tensor.class || !Modifier.isPublic(type.getModifiers())) {
        continue;
      }
      for (Method method : type.getDeclaredMethods()) {
        String name = type.getSimpleName() + "." + method.getName();
        if (Modifier.isPublic(method.getModifiers())
            && Modifier.isStatic(method.getModifiers())
            && returnsTensors(method)
            && !ELSEWHERE.containsKey(name)) {
          out.add(type.getSimpleName() + "." + signature(method));
        }
      }
    }
    return out;
  }

  private static Set<String> covered() throws Exception {
    Set<String> out = new TreeSet<>();
    for (Class<?> type : siblings(OpTableTest.class)) {
      if (OpTestCase.class.isAssignableFrom(type) && !Modifier.isAbstract(type.getModifiers())) {
        Constructor<?> constructor = type.getDeclaredConstructor();
        for (OpSpec spec : ((OpTestCase) constructor.newInstance()).specs()) {
          out.addAll(spec.covers());
        }
      }
    }
    return out;
  }

  @Test
  void everyOperationHasATestCase() throws Exception {
    Set<String> missing = operations();
    assertTrue(missing.size() > 100, () -> "the search found only " + missing);
    missing.removeAll(covered());
    assertEquals(Set.of(), missing, "public operations without an OpSpec");
  }

  @Test
  void everyTestCaseNamesAnOperation() throws Exception {
    Set<String> unknown = covered();
    unknown.removeAll(operations());
    assertEquals(Set.of(), unknown, "names in OpSpec.op(..) that no public method has");
  }
}
