// The background thread: none in a small process; one, with all signals blocked and its own name, once the
// heap is large; it returns the memory of a load that has gone, unasked; a fork's child begins without it and
// gets its own when it needs one; VCMALLOC_BACKGROUND=0 (run: off) forbids it.
// only: vcmalloc
// run: on
// run: off
// timeout: 120s
#include <dirent.h>
#include <sys/wait.h>
#include <time.h>
#include "watchdog.h"
enum { PIECE = 3000, PIECES = 40000 }; // 120 MB
static void *piece[PIECES];
static int threads(void) {
  int n = 0;
  DIR *d = opendir("/proc/self/task");
  CHECK(d != NULL);
  for (struct dirent *e; (e = readdir(d)) != NULL;) n += e->d_name[0] != '.';
  closedir(d);
  return n;
}
// status_of reads a line of the status of the thread that is not the first.
static void status_of(const char *key, char *out, size_t n) {
  DIR *d = opendir("/proc/self/task");
  CHECK(d != NULL);
  out[0] = 0;
  for (struct dirent *e; (e = readdir(d)) != NULL;) {
    char path[300], line[256];
    if (e->d_name[0] == '.' || atoi(e->d_name) == getpid()) continue;
    snprintf(path, sizeof path, "/proc/self/task/%s/status", e->d_name);
    FILE *f = fopen(path, "r");
    while (f != NULL && fgets(line, sizeof line, f) != NULL)
      if (strncmp(line, key, strlen(key)) == 0) snprintf(out, n, "%s", line + strlen(key));
    if (f != NULL) fclose(f);
  }
  closedir(d);
}
static long resident(void) {
  char line[256];
  long kib = -1;
  FILE *f = fopen("/proc/self/status", "r");
  CHECK(f != NULL);
  while (fgets(line, sizeof line, f) != NULL) sscanf(line, "VmRSS: %ld", &kib);
  fclose(f);
  return kib;
}
static void grow(void) {
  for (int i = 0; i < PIECES; i++) {
    piece[i] = hide(malloc(PIECE));
    CHECK(piece[i] != NULL);
    memset(piece[i], i, PIECE);
  }
}
static void shrink(void) {
  for (int i = 0; i < PIECES; i++) free(piece[i]);
}
static int off(int argc, char **argv) { return argc > 1 && strcmp(argv[1], "off") == 0; }
int main(int argc, char **argv) {
  watchdog(110);
  if (off(argc, argv) && getenv("VCMALLOC_BACKGROUND") == NULL) {
    setenv("VCMALLOC_BACKGROUND", "0", 1);
    execv("/proc/self/exe", argv);
    CHECK(0);
  }
  CHECK(threads() == 1);
  grow();
  if (off(argc, argv)) {
    CHECK(threads() == 1);
    shrink();
    return ok();
  }
  // A second one comes and goes: the self-test of fences takes two.
  for (int i = 0; i < 500 && threads() != 2; i++) usleep(10000);
  CHECK(threads() == 2);
  char name[64] = "", blocked[64];
  for (int i = 0; i < 100 && strstr(name, "vcmalloc") == NULL; i++) { // it names itself first of all
    usleep(10000);
    status_of("Name:", name, sizeof name);
  }
  CHECKF(strstr(name, "vcmalloc") != NULL, "the thread is called %s", name);
  status_of("SigBlk:", blocked, sizeof blocked);
  // All but SIGKILL, SIGSTOP and the two that the C library keeps for itself.
  CHECKF(strtoull(blocked, NULL, 16) == 0xfffffffe7ffbfeffull, "blocked signals: %s", blocked);
  long full = resident();
  shrink();
  long left = full;
  for (int i = 0; i < 90 && left > full / 4; i++) {
    sleep(1);
    left = resident();
  }
  CHECKF(left <= full / 4, "%ld of %ld KiB are resident a minute and a half after the load", left, full);
  pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    CHECK(threads() == 1);
    grow();
    CHECK(threads() <= 2);
    shrink();
    _exit(0);
  }
  int status;
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  return ok();
}
