/*
 * A byte-oriented Lempel-Ziv compressor with a hash of the last positions, and its decompressor. The text is made of
 * words of a small vocabulary. Scale: KiB of text.
 * Check: the round trip gives the text back, and the compressed form is less than two thirds of it.
 *
 * Format: a control byte; below 0x80, that many plus one literal bytes follow; otherwise a match of (control & 0x7f)
 * plus MIN_MATCH bytes at the distance (1 to 65,535) in the two bytes that follow, low byte first.
 */
#include "guest.h"

#define MIN_MATCH 4
#define MAX_MATCH (127 + MIN_MATCH)
#define MAX_DISTANCE 65535
#define HASH_BITS 14

static size_t make_text(uint8_t *text, size_t size) {
  uint64_t random = 0x12e;
  char words[128][12];
  for (int w = 0; w < 128; w++) {
    size_t length = 2 + guest_random(&random) % 9;
    for (size_t i = 0; i < length; i++) words[w][i] = (char)('a' + (guest_random(&random) >> 40) % 26);
    words[w][length] = 0;
  }
  size_t at = 0;
  while (at < size) {
    /* The smaller of two draws: some words are common, others rare. */
    uint64_t draw = guest_random(&random);
    uint64_t a = draw >> 10 & 127, b = draw >> 30 & 127;
    const char *word = words[a < b ? a : b];
    for (; *word != 0 && at < size; word++) text[at++] = (uint8_t)*word;
    if (at < size) text[at++] = draw >> 50 & 15 ? ' ' : '\n';
  }
  return at;
}

static uint32_t hash_of(const uint8_t *at) {
  uint32_t four;
  memcpy(&four, at, 4);
  return four * 2654435761u >> (32 - HASH_BITS);
}

static uint8_t *put_literals(uint8_t *out, const uint8_t *from, size_t n) {
  while (n > 0) {
    size_t run = n < 128 ? n : 128;
    *out++ = (uint8_t)(run - 1);
    memcpy(out, from, run);
    out += run, from += run, n -= run;
  }
  return out;
}

static size_t compress(const uint8_t *text, size_t size, uint8_t *out) {
  static uint32_t last[1 << HASH_BITS]; /* position + 1; 0: none */
  memset(last, 0, sizeof last);
  uint8_t *const start = out;
  size_t at = 0, literals = 0; /* literals: where the pending run begins */
  while (at + MIN_MATCH <= size) {
    uint32_t *entry = &last[hash_of(text + at)];
    size_t candidate = *entry;
    *entry = (uint32_t)at + 1;
    size_t length = 0;
    if (candidate > 0 && at - (candidate - 1) <= MAX_DISTANCE) {
      const uint8_t *a = text + at, *b = text + candidate - 1;
      size_t most = size - at < MAX_MATCH ? size - at : MAX_MATCH;
      while (length < most && a[length] == b[length]) length++;
    }
    if (length < MIN_MATCH) {
      at++;
      continue;
    }
    out = put_literals(out, text + literals, at - literals);
    size_t distance = at - (candidate - 1);
    *out++ = (uint8_t)(0x80 | (length - MIN_MATCH));
    *out++ = (uint8_t)distance;
    *out++ = (uint8_t)(distance >> 8);
    at += length;
    literals = at;
  }
  out = put_literals(out, text + literals, size - literals);
  return (size_t)(out - start);
}

/* The size of the text, or 0 when the input is not well formed or the text longer than `capacity`. */
static size_t decompress(const uint8_t *in, size_t size, uint8_t *text, size_t capacity) {
  size_t at = 0;
  for (size_t i = 0; i < size;) {
    uint8_t control = in[i++];
    if (control < 0x80) {
      size_t run = (size_t)control + 1;
      if (run > size - i || run > capacity - at) return 0;
      memcpy(text + at, in + i, run);
      i += run, at += run;
      continue;
    }
    if (size - i < 2) return 0;
    size_t length = (control & 0x7f) + MIN_MATCH, distance = in[i] | (size_t)in[i + 1] << 8;
    i += 2;
    if (distance == 0 || distance > at || length > capacity - at) return 0;
    for (size_t k = 0; k < length; k++, at++) text[at] = text[at - distance];
  }
  return at;
}

static int guest(uint64_t scale) {
  size_t size = scale * 1024;
  uint8_t *text = guest_alloc(size), *packed = guest_alloc(size + size / 64 + 16), *unpacked = guest_alloc(size);
  make_text(text, size);
  size_t packed_size = compress(text, size, packed);
  size_t unpacked_size = decompress(packed, packed_size, unpacked, size);
  uint64_t sum = GUEST_FOLD_START;
  for (size_t i = 0; i < packed_size; i++) sum = guest_fold(sum, packed[i]);
  out_count("text", size);
  out_count("packed", packed_size);
  out_word("checksum", sum);
  return guest_check("round trip", unpacked_size == size && memcmp(text, unpacked, size) == 0) &
         guest_check("smaller", packed_size * 3 < size * 2);
}

GUEST_PROGRAM(24, 16384)
