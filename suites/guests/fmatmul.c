/*
 * Matrix multiplication in doubles. Scale: the order of the matrices.
 * Check: (A B) r = A (B r) within the rounding error bound n * 2^-50 relative; the printed checksum is over the bits,
 * so every rounding of every product and sum counts (all targets are built without contraction to fused operations).
 */
#include "guest.h"

static void multiply(const double *a, const double *b, double *c, size_t n) {
  for (size_t i = 0; i < n * n; i++) c[i] = 0;
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < n; k++) {
      double factor = a[i * n + k];
      for (size_t j = 0; j < n; j++) c[i * n + j] += factor * b[k * n + j];
    }
  }
}

static void apply(const double *m, const double *v, double *out, size_t n) {
  for (size_t i = 0; i < n; i++) {
    double sum = 0;
    for (size_t j = 0; j < n; j++) sum += m[i * n + j] * v[j];
    out[i] = sum;
  }
}

/* In [0.5, 1.5): positive, so that no cancellation spoils the relative bound. */
static double next(uint64_t *random) { return 0.5 + (double)(guest_random(random) >> 11) * 0x1p-53; }

static int guest(uint64_t scale) {
  size_t n = scale;
  double *a = guest_alloc(n * n * sizeof *a), *b = guest_alloc(n * n * sizeof *b);
  double *c = guest_alloc(n * n * sizeof *c), *vectors = guest_alloc(4 * n * sizeof *vectors);
  uint64_t random = 0xf1a7;
  for (size_t i = 0; i < n * n; i++) {
    a[i] = next(&random);
    b[i] = next(&random);
  }
  multiply(a, b, c, n);
  uint64_t sum = GUEST_FOLD_START;
  double trace = 0;
  for (size_t i = 0; i < n * n; i++) {
    uint64_t bits;
    memcpy(&bits, c + i, sizeof bits);
    sum = guest_fold(sum, bits);
  }
  for (size_t i = 0; i < n; i++) trace += c[i * n + i];
  out_count("order", n);
  out_double("trace", trace);
  out_word("checksum", sum);
  double *r = vectors, *br = vectors + n, *abr = vectors + 2 * n, *cr = vectors + 3 * n;
  for (size_t i = 0; i < n; i++) r[i] = next(&random);
  apply(b, r, br, n);
  apply(a, br, abr, n);
  apply(c, r, cr, n);
  int close = 1;
  for (size_t i = 0; i < n; i++) {
    double error = abr[i] - cr[i];
    if (!((error < 0 ? -error : error) <= (double)n * 0x1p-50 * cr[i])) close = 0;
  }
  return guest_check("(A B) r = A (B r)", close);
}

GUEST_PROGRAM(44, 320)
