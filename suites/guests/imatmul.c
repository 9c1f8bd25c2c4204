/*
 * Matrix multiplication in 64-bit integers, wrapping. Scale: the order of the matrices.
 * Check (Freivalds): (A B) r = A (B r) for four pseudo-random vectors r, exact in arithmetic modulo 2^64.
 */
#include "guest.h"

static void multiply(const uint64_t *a, const uint64_t *b, uint64_t *c, size_t n) {
  memset(c, 0, n * n * sizeof *c);
  for (size_t i = 0; i < n; i++) {
    for (size_t k = 0; k < n; k++) {
      uint64_t factor = a[i * n + k];
      for (size_t j = 0; j < n; j++) c[i * n + j] += factor * b[k * n + j];
    }
  }
}

static void apply(const uint64_t *m, const uint64_t *v, uint64_t *out, size_t n) {
  for (size_t i = 0; i < n; i++) {
    uint64_t sum = 0;
    for (size_t j = 0; j < n; j++) sum += m[i * n + j] * v[j];
    out[i] = sum;
  }
}

static int guest(uint64_t scale) {
  size_t n = scale;
  uint64_t *a = guest_alloc(n * n * sizeof *a), *b = guest_alloc(n * n * sizeof *b);
  uint64_t *c = guest_alloc(n * n * sizeof *c), *vectors = guest_alloc(4 * n * sizeof *vectors);
  uint64_t random = 0x1a7;
  for (size_t i = 0; i < n * n; i++) {
    a[i] = guest_random(&random);
    b[i] = guest_random(&random);
  }
  multiply(a, b, c, n);
  uint64_t sum = GUEST_FOLD_START;
  for (size_t i = 0; i < n * n; i++) sum = guest_fold(sum, c[i]);
  out_count("order", n);
  out_word("checksum", sum);
  uint64_t *r = vectors, *br = vectors + n, *abr = vectors + 2 * n, *cr = vectors + 3 * n;
  int holds = 1;
  for (int round = 0; round < 4; round++) {
    for (size_t i = 0; i < n; i++) r[i] = guest_random(&random);
    apply(b, r, br, n);
    apply(a, br, abr, n);
    apply(c, r, cr, n);
    holds &= memcmp(abr, cr, n * sizeof *cr) == 0;
  }
  return guest_check("(A B) r = A (B r)", holds);
}

GUEST_PROGRAM(48, 600)
