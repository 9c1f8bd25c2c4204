/*
 * Escape times of the Mandelbrot set in doubles. Scale: pixels per side of a square picture of [-2, 1] x [-1.5, 1.5].
 * Check: the picture is its own mirror image (the arithmetic of conjugates is exactly mirrored), the points taken for
 * members have an area close to the set's known 1.5066 (loosely, as the grid is coarse and the steps are few).
 */
#include "guest.h"

#define MAX_STEPS 256

static unsigned steps_to_escape(double cx, double cy) {
  double x = 0, y = 0;
  for (unsigned steps = 0; steps < MAX_STEPS; steps++) {
    double xx = x * x, yy = y * y;
    if (xx + yy > 4) return steps;
    y = 2 * x * y + cy;
    x = xx - yy + cx;
  }
  return MAX_STEPS;
}

static int guest(uint64_t scale) {
  size_t n = scale;
  uint16_t *picture = guest_alloc(n * n * sizeof *picture);
  uint64_t sum = GUEST_FOLD_START, inside = 0;
  double pixel = 3.0 / (double)n;
  for (size_t row = 0; row < n; row++) {
    double cy = ((double)(2 * row + 1) - (double)n) * 0.5 * pixel;
    for (size_t column = 0; column < n; column++) {
      unsigned steps = steps_to_escape(-2 + ((double)column + 0.5) * pixel, cy);
      picture[row * n + column] = (uint16_t)steps;
      inside += steps == MAX_STEPS;
      sum = guest_fold(sum, steps);
    }
  }
  int mirrored = 1;
  for (size_t row = 0; row < n / 2; row++) {
    mirrored &= memcmp(picture + row * n, picture + (n - 1 - row) * n, n * sizeof *picture) == 0;
  }
  double area = (double)inside * pixel * pixel;
  out_count("side", n);
  out_count("inside", inside);
  out_word("checksum", sum);
  return guest_check("mirror image", mirrored) & guest_check("area", area > 1.35 && area < 1.70);
}

GUEST_PROGRAM(40, 480)
