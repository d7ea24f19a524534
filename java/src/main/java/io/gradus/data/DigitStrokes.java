package io.gradus.data;

import java.util.ArrayList;
import java.util.List;

/**
 * The skeletons of the ten digits, in several ways of writing each.
 *
 * <p>A style is a list of strokes; a stroke a list of points x0, y0, x1, y1, ... in a unit box
 * whose y axis points down, joined by straight lines or by a smooth curve.
 */
final class DigitStrokes {
  /** Pieces of a curve between two of its points: short enough to look smooth at 28 pixels. */
  private static final int PIECES = 6;

  private static final List<List<List<Stroke>>> STYLES =
      List.of(
          List.of(
              List.of(
                  curve(
                      .5, .02, .22, .18, .12, .5, .22, .82, .5, .98, .78, .82, .88, .5, .78, .18,
                      .5, .02)),
              List.of(
                  curve(
                      .62, .06, .38, .04, .2, .3, .16, .65, .36, .95, .62, .9, .8, .6, .8, .28, .6,
                      .05, .45, .1))),
          List.of(
              List.of(line(.5, .02, .5, .98)),
              List.of(line(.3, .25, .55, .02, .55, .98)),
              List.of(line(.32, .22, .55, .02, .55, .97), line(.28, .97, .82, .97))),
          List.of(
              List.of(
                  curve(.15, .25, .3, .05, .6, .02, .8, .2, .75, .42, .45, .7, .12, .97),
                  line(.12, .97, .88, .97)),
              List.of(
                  curve(
                      .18, .2, .45, .02, .78, .18, .7, .48, .35, .85, .13, .92, .14, .75, .35, .78,
                      .6, .95, .9, .9))),
          List.of(
              List.of(
                  curve(.15, .12, .45, .02, .78, .15, .75, .36, .42, .47),
                  curve(.42, .47, .78, .56, .85, .78, .55, .98, .12, .88)),
              List.of(
                  line(.15, .04, .82, .04, .42, .4),
                  curve(.42, .4, .75, .48, .85, .72, .6, .97, .12, .88))),
          List.of(
              List.of(line(.25, .02, .15, .55, .88, .55), line(.7, .2, .66, .98)),
              List.of(line(.68, .98, .68, .02, .1, .65, .92, .65)),
              List.of(curve(.2, .05, .15, .35, .3, .52, .6, .5, .8, .4), line(.82, .05, .72, .98))),
          List.of(
              List.of(
                  line(.82, .04, .28, .04, .22, .42),
                  curve(.22, .42, .5, .36, .82, .52, .82, .8, .5, .98, .14, .88)),
              List.of(
                  line(.85, .03, .32, .06, .26, .4),
                  curve(.26, .4, .55, .38, .78, .6, .68, .88, .4, .98, .12, .9))),
          List.of(
              List.of(
                  curve(
                      .72, .04, .38, .25, .16, .6, .25, .9, .55, .98, .82, .8, .75, .55, .48, .48,
                      .2, .68)),
              List.of(
                  curve(
                      .5, .02, .26, .4, .18, .72, .35, .96, .65, .94, .78, .72, .6, .54, .35, .6,
                      .2, .78))),
          List.of(
              List.of(line(.12, .05, .86, .05, .42, .98)),
              List.of(line(.12, .05, .86, .05, .42, .98), line(.34, .5, .8, .5)),
              List.of(line(.12, .06, .86, .06), curve(.86, .06, .62, .35, .48, .65, .44, .98)),
              List.of(line(.14, .2, .14, .05, .86, .05, .42, .98))),
          List.of(
              List.of(
                  curve(
                      .78, .15, .5, .02, .22, .16, .3, .38, .55, .5, .8, .7, .72, .92, .48, .98, .2,
                      .88, .2, .66, .5, .48, .74, .34, .78, .15)),
              List.of(
                  curve(.5, .02, .24, .12, .26, .38, .5, .47, .74, .38, .76, .12, .5, .02),
                  curve(.5, .47, .2, .58, .16, .86, .5, .98, .84, .86, .8, .58, .5, .47))),
          List.of(
              List.of(
                  curve(.78, .3, .6, .05, .3, .06, .16, .28, .32, .5, .6, .48, .78, .26),
                  line(.78, .26, .74, .98)),
              List.of(
                  curve(
                      .78, .22, .55, .02, .25, .1, .2, .38, .45, .52, .7, .42, .8, .2, .78, .55,
                      .66, .85, .4, .98, .22, .9))));

  private DigitStrokes() {}

  /** The ways of writing a digit, as many as wanted to choose from. */
  static List<List<Stroke>> styles(int digit) {
    return STYLES.get(digit);
  }

  private static Stroke line(double... points) {
    return new Stroke(points, false);
  }

  private static Stroke curve(double... points) {
    return new Stroke(points, true);
  }

  /** One movement of the pen. */
  static final class Stroke {
    private final double[] points;
    private final boolean smooth;

    private Stroke(double[] points, boolean smooth) {
      this.points = points;
      this.smooth = smooth;
    }

    /** The points x0, y0, x1, y1, ... as a fresh array. */
    double[] points() {
      return points.clone();
    }

    /**
     * The path through points that replace this stroke's own, as x0, y0, x1, y1, ... Curves are
     * Catmull-Rom splines.
     */
    double[] path(double[] p) {
      int n = p.length / 2;
      List<Double> out = new ArrayList<>();
      for (int i = 0; i + 1 < n; i++) {
        for (int k = 0; k < PIECES; k++) {
          double t = (double) k / PIECES;
          for (int axis = 0; axis < 2; axis++) {
            double p1 = p[2 * i + axis];
            double p2 = p[2 * i + 2 + axis];
            double p0 = i == 0 ? p1 : p[2 * i - 2 + axis];
            double p3 = i + 2 == n ? p2 : p[2 * i + 4 + axis];
            out.add(smooth ? catmullRom(p0, p1, p2, p3, t) : p1 + t * (p2 - p1));
          }
        }
      }
      out.add(p[2 * n - 2]);
      out.add(p[2 * n - 1]);
      return out.stream().mapToDouble(Double::doubleValue).toArray();
    }

    private static double catmullRom(double p0, double p1, double p2, double p3, double t) {
      return 0.5
          * (2 * p1
              + t
                  * (p2
                      - p0
                      + t * (2 * p0 - 5 * p1 + 4 * p2 - p3 + t * (3 * (p1 - p2) + p3 - p0))));
    }
  }
}
