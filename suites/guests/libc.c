/*
 * System calls as the C library makes them: output of floats, allocation, sorting, jumps, signals, processes, pipes,
 * mappings, files, directories, clocks, environment. Linux only.
 *
 * libc DIRECTORY [SECTION...]: DIRECTORY is tree/ beside this file, seen from the guest. Without sections all run.
 * Each section prints what it found, which must be the same on every target and machine, and then its verdict.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *directory;
static int section_holds;

/* A condition that must hold; the first ones that do not are named. */
#define EXPECT(condition)                                           \
  do {                                                              \
    if (!(condition)) {                                             \
      printf("  line %d: %s (errno %d)\n", __LINE__, #condition, errno); \
      section_holds = 0;                                            \
    }                                                               \
  } while (0)

static void test_floats(void) {
  static const double values[] = {0.0, -0.0, 1.0 / 3, 1e300, 5e-324, 123456.789, -2.5};
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
    printf("  %.3f|%e|%g|%a\n", i == 3 ? 0.0 : values[i], values[i], values[i], values[i]);
  }
  volatile double zero = 0;
  printf("  %f %f %.17g %5.1f|%-8.2f|%+.0f\n", 1 / zero, -1 / zero, 0.1, 3.14159, 2.0, 1.5);
  EXPECT(isnan(zero / zero));
}

static void test_numbers(void) {
  char *end;
  EXPECT(strtod("0.1", NULL) == 0.1);
  EXPECT(strtod("0x1.8p+3xyz", &end) == 12.0 && strcmp(end, "xyz") == 0);
  EXPECT(strtod("1.7976931348623157e308", NULL) == 0x1.fffffffffffffp1023);
  errno = 0;
  EXPECT(isinf(strtod("1e999", NULL)) && errno == ERANGE);
  EXPECT(strtol("-0x7f", NULL, 0) == -127);
  EXPECT(strtoull("18446744073709551615", NULL, 10) == UINT64_MAX);
  char text[64];
  EXPECT(snprintf(text, sizeof text, "%08.3f %-6s|%x %" PRId64, 3.14159, "ab", 0xbeefu, INT64_MIN) == 41);
  printf("  %s\n", text);
  int a = 0;
  double b = 0;
  char word[8];
  EXPECT(sscanf("17 2.5 seven", "%d %lf %7s", &a, &b, word) == 3 && a == 17 && b == 2.5 && strcmp(word, "seven") == 0);
  /* Correctly rounded by IEEE 754, so the same everywhere; other functions of libm need not be. */
  volatile double two = 2;
  printf("  %a %a %a\n", sqrt(two), fma(two, 1.0 / 3, -2.0 / 3), floor(-two / 3));
}

static void test_malloc(void) {
  enum { BLOCKS = 300 };
  static uint8_t *blocks[BLOCKS];
  static size_t sizes[BLOCKS];
  uint64_t sum = 0;
  for (size_t i = 0; i < BLOCKS; i++) {
    sizes[i] = (i * 7919) % 5000 + 1;
    blocks[i] = malloc(sizes[i]);
    EXPECT(blocks[i] != NULL && (uintptr_t)blocks[i] % 16 == 0);
    memset(blocks[i], (int)i & 255, sizes[i]);
  }
  for (size_t i = 0; i < BLOCKS; i += 2) free(blocks[i]);
  for (size_t i = 1; i < BLOCKS; i += 2) {
    blocks[i] = realloc(blocks[i], sizes[i] * 3);
    EXPECT(blocks[i] != NULL);
    for (size_t k = 0; k < sizes[i]; k++) sum += blocks[i][k];
  }
  for (size_t i = 1; i < BLOCKS; i += 2) free(blocks[i]);
  uint8_t *large = calloc(1, 4 << 20); /* above the mmap threshold */
  EXPECT(large != NULL && large[0] == 0 && large[(4 << 20) - 1] == 0);
  large[100] = 7;
  large = realloc(large, 8 << 20); /* glibc moves it with mremap */
  EXPECT(large != NULL && large[100] == 7 && large[(4 << 20) + 5] == 0);
  free(large);
  void *aligned = NULL;
  EXPECT(posix_memalign(&aligned, 4096, 100) == 0 && (uintptr_t)aligned % 4096 == 0);
  free(aligned);
  void *heap_end = sbrk(0);
  EXPECT(sbrk(8192) == heap_end && (char *)sbrk(0) == (char *)heap_end + 8192);
  printf("  sum %" PRIu64 "\n", sum);
}

static int by_value(const void *a, const void *b) {
  int x = *(const int *)a, y = *(const int *)b;
  return (x > y) - (x < y);
}

static void test_qsort(void) {
  static int numbers[5000];
  uint32_t random = 12345;
  for (size_t i = 0; i < 5000; i++) {
    random = random * 1664525u + 1013904223u;
    numbers[i] = (int)(random >> 8) - 8000000;
  }
  qsort(numbers, 5000, sizeof numbers[0], by_value);
  for (size_t i = 1; i < 5000; i++) EXPECT(numbers[i - 1] <= numbers[i]);
  int key = numbers[1234];
  int *found = bsearch(&key, numbers, 5000, sizeof key, by_value);
  EXPECT(found != NULL && *found == key);
  printf("  %d %d %d\n", numbers[0], numbers[2500], numbers[4999]);
}

static jmp_buf jump_point;
static volatile int deepest = 20;

__attribute__((noinline)) static void descend(int depth) {
  volatile double kept = depth * 0.5;
  if (depth > deepest) return;
  if (depth == deepest) longjmp(jump_point, 42);
  descend(depth + 1);
  EXPECT(kept == depth * 0.5);
}

static void test_setjmp(void) {
  volatile int passes = 0;
  int value = setjmp(jump_point);
  passes++;
  if (value == 0) descend(0);
  EXPECT(value == 42 && passes == 2);
}

static volatile sig_atomic_t signals_seen;
static volatile sig_atomic_t last_signal;
static void *volatile fault_address;
static sigjmp_buf signal_exit;

static void count_signal(int number) {
  signals_seen++;
  last_signal = number;
}

static void leave_handler(int number, siginfo_t *info, void *context) {
  (void)context;
  last_signal = number;
  fault_address = info->si_addr;
  siglongjmp(signal_exit, 1);
}

static void test_signals(void) {
  struct sigaction action = {.sa_handler = count_signal}, old;
  sigemptyset(&action.sa_mask);
  EXPECT(sigaction(SIGUSR1, &action, &old) == 0 && old.sa_handler == SIG_DFL);
  signals_seen = 0;
  EXPECT(raise(SIGUSR1) == 0 && signals_seen == 1 && last_signal == SIGUSR1);
  sigset_t set, pending;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  EXPECT(sigprocmask(SIG_BLOCK, &set, NULL) == 0);
  EXPECT(kill(getpid(), SIGUSR1) == 0 && signals_seen == 1);
  EXPECT(sigpending(&pending) == 0 && sigismember(&pending, SIGUSR1) == 1);
  EXPECT(sigprocmask(SIG_UNBLOCK, &set, NULL) == 0 && signals_seen == 2);
  signal(SIGUSR2, SIG_IGN);
  EXPECT(raise(SIGUSR2) == 0 && signals_seen == 2);
}

static void test_abort(void) {
  struct sigaction action = {.sa_sigaction = leave_handler, .sa_flags = SA_SIGINFO};
  sigemptyset(&action.sa_mask);
  EXPECT(sigaction(SIGABRT, &action, NULL) == 0);
  last_signal = 0;
  if (sigsetjmp(signal_exit, 1) == 0) abort();
  EXPECT(last_signal == SIGABRT);
  signal(SIGABRT, SIG_DFL);
}

static void test_fault(void) {
  struct sigaction action = {.sa_sigaction = leave_handler, .sa_flags = SA_SIGINFO};
  sigemptyset(&action.sa_mask);
  EXPECT(sigaction(SIGSEGV, &action, NULL) == 0);
  volatile uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT(page != MAP_FAILED);
  page[5] = 1;
  EXPECT(mprotect((void *)page, 4096, PROT_READ) == 0 && page[5] == 1);
  last_signal = 0;
  if (sigsetjmp(signal_exit, 1) == 0) page[7] = 2;
  EXPECT(last_signal == SIGSEGV && fault_address == (void *)(page + 7));
  EXPECT(munmap((void *)page, 4096) == 0);
  last_signal = 0;
  if (sigsetjmp(signal_exit, 1) == 0) (void)page[9];
  EXPECT(last_signal == SIGSEGV && fault_address == (void *)(page + 9));
  signal(SIGSEGV, SIG_DFL);
}

static void test_processes(void) {
  int ends[2], status = 0;
  static int private_copy = 1;
  EXPECT(pipe(ends) == 0);
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    private_copy = 2;
    close(ends[0]);
    dprintf(ends[1], "child says %d", private_copy);
    _exit(7);
  }
  EXPECT(child > 0 && close(ends[1]) == 0);
  char text[64] = {0};
  size_t length = 0;
  for (ssize_t n; (n = read(ends[0], text + length, sizeof text - 1 - length)) > 0;) length += (size_t)n;
  close(ends[0]);
  EXPECT(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7);
  EXPECT(private_copy == 1 && strcmp(text, "child says 2") == 0);
  child = fork();
  if (child == 0) {
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    abort();
  }
  EXPECT(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  errno = 0;
  EXPECT(waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD);
  EXPECT(pipe(ends) == 0 && close(ends[0]) == 0);
  signal(SIGPIPE, SIG_IGN);
  errno = 0;
  EXPECT(write(ends[1], "x", 1) == -1 && errno == EPIPE);
  signal(SIGPIPE, SIG_DFL);
  close(ends[1]);
  printf("  %s\n", text);
}

static void test_mappings(void) {
  size_t page = (size_t)sysconf(_SC_PAGESIZE);
  EXPECT(page == 4096);
  uint8_t *area = mmap(NULL, 4 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT(area != MAP_FAILED);
  EXPECT(mprotect(area + page, 2 * page, PROT_READ | PROT_WRITE) == 0);
  EXPECT(area[page] == 0);
  memset(area + page, 0x5a, 2 * page);
  uint8_t *fixed = mmap(area + page, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
  EXPECT(fixed == area + page && fixed[0] == 0 && area[2 * page] == 0x5a);
  EXPECT(munmap(area + 3 * page, page) == 0 && munmap(area, 3 * page) == 0);
  errno = 0;
  EXPECT(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == EINVAL);
  char path[512];
  snprintf(path, sizeof path, "%s/poem.txt", directory);
  int file = open(path, O_RDONLY);
  char *text = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
  EXPECT(file >= 0 && text != MAP_FAILED && close(file) == 0);
  printf("  %.17s\n", text);
  text[0] = '?'; /* private: the file keeps its first letter, which test_files reads */
  EXPECT(munmap(text, page) == 0);
}

static void test_files(void) {
  char path[512], text[256] = {0};
  snprintf(path, sizeof path, "%s/poem.txt", directory);
  int file = open(path, O_RDONLY);
  EXPECT(file >= 0);
  struct stat status;
  EXPECT(fstat(file, &status) == 0 && S_ISREG(status.st_mode));
  printf("  size %lld\n", (long long)status.st_size);
  EXPECT(read(file, text, 3) == 3 && lseek(file, 0, SEEK_CUR) == 3);
  EXPECT(pread(file, text, 5, 4) == 5 && lseek(file, 0, SEEK_CUR) == 3);
  EXPECT(lseek(file, -1, SEEK_END) == status.st_size - 1 && read(file, text + 5, 9) == 1 && text[5] == '\n');
  EXPECT(read(file, text + 6, 9) == 0);
  int copy = dup(file);
  EXPECT(copy > file && lseek(copy, 0, SEEK_SET) == 0 && read(file, text + 6, 1) == 1 && close(copy) == 0);
  struct iovec parts[2] = {{text + 10, 2}, {text + 20, 3}};
  EXPECT(readv(file, parts, 2) == 5 && close(file) == 0);
  printf("  %.5s %c %.2s %.3s\n", text, text[6], text + 10, text + 20);
  errno = 0;
  EXPECT(close(file) == -1 && errno == EBADF);
  snprintf(path, sizeof path, "%s/no such file", directory);
  EXPECT(open(path, O_RDONLY) == -1 && errno == ENOENT && access(path, R_OK) == -1);
  FILE *stream = fopen(path, "r");
  EXPECT(stream == NULL);
  snprintf(path, sizeof path, "%s/poem.txt", directory);
  stream = fopen(path, "r");
  EXPECT(stream != NULL);
  int lines = 0;
  while (stream != NULL && fgets(text, sizeof text, stream) != NULL) lines++;
  EXPECT(fseek(stream, 4, SEEK_SET) == 0 && fgetc(stream) == 'b' && ungetc('!', stream) == '!');
  EXPECT(fgetc(stream) == '!' && ftell(stream) == 5 && fclose(stream) == 0);
  printf("  lines %d\n", lines);
}

static int visible(const struct dirent *entry) { return entry->d_name[0] != '.'; }

static void test_directories(void) {
  struct dirent **entries;
  int count = scandir(directory, &entries, visible, alphasort);
  EXPECT(count > 0);
  for (int i = 0; i < count; i++) {
    char path[512];
    struct stat status;
    snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
    EXPECT(stat(path, &status) == 0);
    printf("  %s%s\n", entries[i]->d_name, S_ISDIR(status.st_mode) ? "/" : "");
    free(entries[i]);
  }
  free(entries);
  char before[512], inside[512];
  EXPECT(getcwd(before, sizeof before) == before && chdir(directory) == 0);
  EXPECT(access("poem.txt", R_OK) == 0 && chdir("leaves") == 0 && getcwd(inside, sizeof inside) == inside);
  printf("  %s\n", strrchr(inside, '/'));
  EXPECT(chdir(before) == 0);
  errno = 0;
  EXPECT(getcwd(inside, 1) == NULL && errno == ERANGE);
  char path[512];
  snprintf(path, sizeof path, "%s/poem.txt", directory);
  EXPECT(opendir(path) == NULL && errno == ENOTDIR);
}

static void test_time(void) {
  struct timespec a, b, resolution;
  EXPECT(clock_gettime(CLOCK_MONOTONIC, &a) == 0 && clock_getres(CLOCK_MONOTONIC, &resolution) == 0);
  struct timespec pause = {0, 2000000};
  EXPECT(nanosleep(&pause, NULL) == 0 && clock_gettime(CLOCK_MONOTONIC, &b) == 0);
  EXPECT((b.tv_sec - a.tv_sec) * 1000000000 + (b.tv_nsec - a.tv_nsec) >= 2000000);
  EXPECT(a.tv_nsec >= 0 && a.tv_nsec < 1000000000);
  EXPECT(clock_gettime(CLOCK_REALTIME, &a) == 0 && time(NULL) >= a.tv_sec);
  errno = 0;
  EXPECT(clock_gettime(77, &a) == -1 && errno == EINVAL);
  time_t moment = 951782400; /* 2000-02-29 00:00:00 UTC */
  struct tm parts;
  char text[64];
  EXPECT(gmtime_r(&moment, &parts) != NULL && strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S %a", &parts) > 0);
  printf("  %s\n", text);
}

extern char **environ;

static void test_environment(void) {
  EXPECT(setenv("GUEST_WORD", "amber", 1) == 0 && strcmp(getenv("GUEST_WORD"), "amber") == 0);
  EXPECT(setenv("GUEST_WORD", "delta", 0) == 0 && strcmp(getenv("GUEST_WORD"), "amber") == 0);
  int found = 0;
  for (char **each = environ; *each != NULL; each++) found += strcmp(*each, "GUEST_WORD=amber") == 0;
  EXPECT(found == 1 && unsetenv("GUEST_WORD") == 0 && getenv("GUEST_WORD") == NULL);
}

static void test_identity(void) {
  struct utsname name;
  EXPECT(uname(&name) == 0);
  EXPECT(getpid() > 0 && getppid() >= 0 && getuid() == geteuid());
  printf("  %s\n", name.sysname);
}

static const struct {
  const char *name;
  void (*run)(void);
} sections[] = {
    {"floats", test_floats},           {"numbers", test_numbers},   {"malloc", test_malloc},
    {"qsort", test_qsort},             {"setjmp", test_setjmp},     {"signals", test_signals},
    {"abort", test_abort},             {"fault", test_fault},       {"processes", test_processes},
    {"mappings", test_mappings},       {"files", test_files},       {"directories", test_directories},
    {"time", test_time},               {"environment", test_environment}, {"identity", test_identity},
};

static void say_goodbye(void) { printf("goodbye\n"); }

int main(int argc, char **argv) {
  if (argc < 2) {
    fprintf(stderr, "usage: libc DIRECTORY [SECTION...]\n");
    return 2;
  }
  directory = argv[1];
  atexit(say_goodbye);
  int failed = 0, run = 0;
  for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
    int wanted = argc == 2;
    for (int k = 2; k < argc; k++) wanted |= strcmp(argv[k], sections[i].name) == 0;
    if (!wanted) continue;
    section_holds = 1;
    sections[i].run();
    printf("%s: %s\n", sections[i].name, section_holds ? "ok" : "FAILED");
    failed += !section_holds;
    run++;
  }
  if (argc > 2 && run != argc - 2) {
    fprintf(stderr, "libc: there is no such section\n");
    return 2;
  }
  return failed == 0 ? 0 : 1;
}
