package io.gradus;

import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.classes;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.Architectures.layeredArchitecture;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;

import com.tngtech.archunit.core.importer.ImportOption;
import com.tngtech.archunit.junit.AnalyzeClasses;
import com.tngtech.archunit.junit.ArchTest;
import com.tngtech.archunit.lang.ArchRule;

/** Holds the layers of CONTRIBUTING.md: imports go downward only, and no package is in a cycle. */
@AnalyzeClasses(packages = "io.gradus", importOptions = ImportOption.DoNotIncludeTests.class)
final class ArchitectureTest {
  @ArchTest
  static final ArchRule LAYERS =
      layeredArchitecture()
          .consideringOnlyDependenciesInLayers()
          .layer("core")
          .definedBy("io.gradus.core")
          .layer("backend")
          .definedBy("io.gradus.backend")
          .layer("backend implementations")
          .definedBy("io.gradus.backend.*..")
          .layer("tensor")
          .definedBy("io.gradus.tensor")
          .layer("nn")
          .definedBy("io.gradus.nn")
          .layer("optim")
          .definedBy("io.gradus.optim")
          .layer("data")
          .definedBy("io.gradus.data")
          .layer("metrics")
          .definedBy("io.gradus.metrics")
          .layer("io")
          .definedBy("io.gradus.io")
          .layer("train")
          .definedBy("io.gradus.train")
          .layer("cli")
          .definedBy("io.gradus.cli")
          .whereLayer("cli")
          .mayNotBeAccessedByAnyLayer()
          .whereLayer("train")
          .mayOnlyBeAccessedByLayers("cli")
          .whereLayer("nn")
          .mayOnlyBeAccessedByLayers("train", "cli")
          .whereLayer("optim")
          .mayOnlyBeAccessedByLayers("train", "cli")
          .whereLayer("data")
          .mayOnlyBeAccessedByLayers("train", "cli")
          .whereLayer("metrics")
          .mayOnlyBeAccessedByLayers("train", "cli")
          .whereLayer("io")
          .mayOnlyBeAccessedByLayers("train", "cli")
          .whereLayer("tensor")
          .mayOnlyBeAccessedByLayers("nn", "optim", "data", "metrics", "io", "train", "cli")
          .whereLayer("backend implementations")
          .mayNotBeAccessedByAnyLayer()
          .whereLayer("backend")
          .mayOnlyBeAccessedByLayers(
              "backend implementations",
              "tensor",
              "nn",
              "optim",
              "data",
              "metrics",
              "io",
              "train",
              "cli");

  @ArchTest
  static final ArchRule NO_CYCLES = slices().matching("io.gradus.(**)").should().beFreeOfCycles();

  @ArchTest
  static final ArchRule CORE_STANDS_ALONE =
      noClasses()
          .that()
          .resideInAPackage("io.gradus.core")
          .should()
          .dependOnClassesThat()
          .resideInAnyPackage(
              "io.gradus.backend..", "io.gradus.tensor..", "org.slf4j..", "picocli..");

  @ArchTest
  static final ArchRule EVERY_CLASS_IS_IN_A_LAYER =
      classes()
          .should()
          .resideInAnyPackage(
              "io.gradus.core",
              "io.gradus.backend..",
              "io.gradus.tensor",
              "io.gradus.nn",
              "io.gradus.optim",
              "io.gradus.data",
              "io.gradus.metrics",
              "io.gradus.io",
              "io.gradus.train",
              "io.gradus.cli");

  @ArchTest
  static final ArchRule NO_JAVA_SERIALIZATION =
      noClasses()
          .should()
          .dependOnClassesThat()
          .haveFullyQualifiedName("java.io.ObjectInputStream")
          .because("files are hostile, and deserialization runs what they name");
}
