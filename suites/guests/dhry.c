/*
 * A mix of strings and structures: a shelf of book records kept sorted by title in an array of pointers, lent and
 * returned by title, with titles built, compared and copied and records passed by value. Scale: thousands of loans.
 * Check: what was lent is what is missing on the shelf, titles stay in order, every title sought is found.
 */
#include "guest.h"

#define BOOKS 256
#define TITLE 40

typedef enum { NOVEL, POETRY, ATLAS, MANUAL } Kind;

typedef struct {
  char title[TITLE];
  Kind kind;
  uint32_t copies, lent;
} Book;

static Book books[BOOKS];
static Book *shelf[BOOKS];
static size_t shelved;

/* A title of three words out of the digits of `number` to the base 8: unique below 512. */
static void make_title(char *title, unsigned number) {
  static const char *const words[8] = {"amber", "bridge", "cinder", "delta", "ember", "fjord", "garden", "harbour"};
  char *end = title;
  for (int digit = 2; digit >= 0; digit--) {
    strcpy(end, words[number >> (3 * digit) & 7]);
    end += strlen(end);
    if (digit > 0) *end++ = ' ';
  }
  *end = 0;
}

/* The position of `title`, or where it would have to stand. */
static size_t position_of(const char *title) {
  size_t low = 0, high = shelved;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (strcmp(shelf[middle]->title, title) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

static void put_on_shelf(Book *book) {
  size_t at = position_of(book->title);
  memmove(shelf + at + 1, shelf + at, (shelved - at) * sizeof *shelf);
  shelf[at] = book;
  shelved++;
}

static Book lend(Book book) {
  if (book.lent < book.copies) book.lent++;
  return book;
}

static Book take_back(Book book) {
  if (book.lent > 0) book.lent--;
  return book;
}

static uint32_t fee(const Book *book) {
  switch (book->kind) {
    case NOVEL: return 3;
    case POETRY: return 2;
    case ATLAS: return 7 + book->lent;
    case MANUAL: return book->copies > 4 ? 5 : 6;
  }
  return 0;
}

static int guest(uint64_t scale) {
  /* 167 is odd, so i * 167 mod 512 takes each value once: the books come in no order. */
  for (unsigned i = 0; i < BOOKS; i++) {
    make_title(books[i].title, i * 167 % 512);
    books[i].kind = (Kind)(i % 4);
    books[i].copies = 1 + i % 7;
    put_on_shelf(&books[i]);
  }
  uint64_t random = 0xd4a7, found = 0, sought = 0, fees = 0, lent = 0, returned = 0;
  for (uint64_t loan = 0; loan < scale * 1000; loan++) {
    uint64_t choice = guest_random(&random) >> 20;
    char title[TITLE];
    make_title(title, (unsigned)(choice % BOOKS * 167 % 512));
    size_t at = position_of(title);
    sought++;
    if (at == shelved || strcmp(shelf[at]->title, title) != 0) continue;
    found++;
    Book *book = shelf[at];
    uint32_t before = book->lent;
    *book = choice >> 8 & 1 ? lend(*book) : take_back(*book);
    if (book->lent > before) lent++, fees += fee(book);
    if (book->lent < before) returned++;
  }
  uint64_t missing = 0, sum = GUEST_FOLD_START;
  int ordered = 1;
  for (size_t i = 0; i < shelved; i++) {
    missing += shelf[i]->lent;
    sum = guest_fold(sum, (uint64_t)shelf[i]->title[strlen(shelf[i]->title) - 2] << 32 | shelf[i]->lent);
    if (i > 0 && strcmp(shelf[i - 1]->title, shelf[i]->title) >= 0) ordered = 0;
  }
  out_count("lent", lent);
  out_count("returned", returned);
  out_count("fees", fees);
  out_word("checksum", sum);
  return guest_check("titles found", found == sought && shelved == BOOKS) & guest_check("titles in order", ordered) &
         guest_check("loans balance", lent - returned == missing);
}

GUEST_PROGRAM(1, 600)
