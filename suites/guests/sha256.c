/*
 * SHA-256 (FIPS 180-4, "SHA-256"). Scale: KiB of pseudo-random message.
 * Check: the standard's two example messages, and that a message hashed in uneven pieces gives the same digest.
 */
#include "guest.h"

typedef struct {
  uint32_t state[8];
  uint64_t length;
  uint8_t block[64];
} Sha256;

/* FIPS 180-4, "SHA-224 and SHA-256 Constants": fractions of the cube roots of the first 64 primes. */
static uint32_t round_constants[64];

/* limbs *= m, for a product below 2^160; limbs from the low one up. */
static void times(uint32_t limbs[5], uint64_t m) {
  uint32_t product[5] = {0};
  for (int half = 0; half < 2; half++) {
    uint64_t digit = half == 0 ? (uint32_t)m : m >> 32, carry = 0;
    for (int i = 0; i + half < 5; i++) {
      carry += digit * limbs[i] + product[i + half];
      product[i + half] = (uint32_t)carry;
      carry >>= 32;
    }
  }
  memcpy(limbs, product, sizeof product);
}

/* floor(2^32 * frac(p^(1/degree))) for a prime p below 2^10, by bisection in integers: no table to mistype. */
static uint32_t root_fraction(uint32_t p, int degree) {
  uint64_t low = 0, high = UINT64_C(1) << 37; /* 2^32 times the root, which is below 32 */
  while (high - low > 1) {
    uint64_t middle = low + (high - low) / 2;
    uint32_t power[5] = {1};
    for (int i = 0; i < degree; i++) times(power, middle);
    /* The integer part of (middle / 2^32)^degree is the limb of that index; a root of a prime is never exact. */
    if (power[degree] < p) low = middle;
    else high = middle;
  }
  return (uint32_t)low;
}

static uint32_t initial_state[8];

static void make_constants(void) {
  uint32_t candidate = 2;
  for (int found = 0; found < 64; candidate++) {
    int prime = 1;
    for (uint32_t d = 2; d * d <= candidate; d++) prime &= candidate % d != 0;
    if (!prime) continue;
    if (found < 8) initial_state[found] = root_fraction(candidate, 2);
    round_constants[found++] = root_fraction(candidate, 3);
  }
}

static uint32_t rotate_right(uint32_t x, int n) { return x >> n | x << (32 - n); }

static void compress(Sha256 *hash, const uint8_t *block) {
  uint32_t w[64];
  for (int i = 0; i < 16; i++) {
    const uint8_t *b = block + 4 * i;
    w[i] = (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
  }
  for (int i = 16; i < 64; i++) {
    uint32_t s0 = rotate_right(w[i - 15], 7) ^ rotate_right(w[i - 15], 18) ^ w[i - 15] >> 3;
    uint32_t s1 = rotate_right(w[i - 2], 17) ^ rotate_right(w[i - 2], 19) ^ w[i - 2] >> 10;
    w[i] = w[i - 16] + s0 + w[i - 7] + s1;
  }
  uint32_t a = hash->state[0], b = hash->state[1], c = hash->state[2], d = hash->state[3];
  uint32_t e = hash->state[4], f = hash->state[5], g = hash->state[6], h = hash->state[7];
  for (int i = 0; i < 64; i++) {
    uint32_t sum1 = rotate_right(e, 6) ^ rotate_right(e, 11) ^ rotate_right(e, 25);
    uint32_t t1 = h + sum1 + ((e & f) ^ (~e & g)) + round_constants[i] + w[i];
    uint32_t sum0 = rotate_right(a, 2) ^ rotate_right(a, 13) ^ rotate_right(a, 22);
    uint32_t t2 = sum0 + ((a & b) ^ (a & c) ^ (b & c));
    h = g, g = f, f = e, e = d + t1, d = c, c = b, b = a, a = t1 + t2;
  }
  hash->state[0] += a, hash->state[1] += b, hash->state[2] += c, hash->state[3] += d;
  hash->state[4] += e, hash->state[5] += f, hash->state[6] += g, hash->state[7] += h;
}

static void begin(Sha256 *hash) {
  memcpy(hash->state, initial_state, sizeof hash->state);
  hash->length = 0;
}

static void update(Sha256 *hash, const uint8_t *bytes, size_t n) {
  size_t filled = hash->length % 64;
  hash->length += n;
  if (filled > 0) {
    size_t take = n < 64 - filled ? n : 64 - filled;
    memcpy(hash->block + filled, bytes, take);
    bytes += take, n -= take;
    if (filled + take < 64) return;
    compress(hash, hash->block);
  }
  for (; n >= 64; bytes += 64, n -= 64) compress(hash, bytes);
  memcpy(hash->block, bytes, n);
}

static void finish(Sha256 *hash, uint8_t *digest) {
  uint64_t bits = hash->length * 8;
  static const uint8_t padding[64] = {0x80};
  update(hash, padding, 1 + (119 - hash->length % 64) % 64);
  uint8_t length[8];
  for (int i = 0; i < 8; i++) length[i] = (uint8_t)(bits >> (56 - 8 * i));
  update(hash, length, 8);
  for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(hash->state[i / 4] >> (24 - 8 * (i % 4)));
}

static void hash_whole(const void *bytes, size_t n, uint8_t *digest) {
  Sha256 hash;
  begin(&hash);
  update(&hash, bytes, n);
  finish(&hash, digest);
}

static void to_hex(const uint8_t *digest, char *text) {
  for (int i = 0; i < 64; i++) text[i] = "0123456789abcdef"[digest[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
  text[64] = 0;
}

static int digest_is(const char *message, const char *expected) {
  uint8_t digest[32];
  char text[65];
  hash_whole(message, strlen(message), digest);
  to_hex(digest, text);
  return strcmp(text, expected) == 0;
}

static int guest(uint64_t scale) {
  make_constants();
  size_t size = scale * 1024;
  uint8_t *message = guest_alloc(size);
  uint64_t random = 0x5ba256;
  for (size_t i = 0; i < size; i++) message[i] = (uint8_t)guest_random(&random);
  uint8_t whole[32], pieces[32];
  hash_whole(message, size, whole);
  char text[66];
  to_hex(whole, text);
  out_text(text);
  out_text("\n");

  size_t part = size < 65536 ? size : 65536;
  hash_whole(message, part, whole);
  Sha256 hash;
  begin(&hash);
  for (size_t at = 0, step = 1; at < part; at += step, step = step * 3 % 257 + 1) {
    update(&hash, message + at, step < part - at ? step : part - at);
  }
  finish(&hash, pieces);
  /* FIPS 180-4's example messages of one and of two blocks. */
  int one = digest_is("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  int two = digest_is("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                      "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  return guest_check("example messages", one && two) & guest_check("pieces", memcmp(whole, pieces, 32) == 0);
}

GUEST_PROGRAM(2, 20480)
