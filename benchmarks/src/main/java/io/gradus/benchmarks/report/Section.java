package io.gradus.benchmarks.report;

import com.fasterxml.jackson.core.JsonGenerator;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import org.knowm.xchart.internal.chartpart.IChart;

/** The results of one kind of benchmark. */
public interface Section {
  /** What files and JSON call it. */
  String name();

  /** Its heading. */
  String title();

  /** What the figures are. */
  String intro();

  /** What people read. */
  Table table();

  /** Lines below the table. */
  List<String> notes();

  /** Every single measurement. */
  Table values();

  /** Writes the results as one JSON value. */
  void json(JsonGenerator json) throws IOException;

  /** Charts by the end of their files' names; none where there is nothing to draw. */
  Map<String, IChart> charts();
}
