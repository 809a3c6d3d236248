// fork against stdio: 4 threads fork, 8 open, read and close files, one
// flushes all streams. fork takes the lock of the stream list after the atfork
// handlers; an allocator that holds its locks from there on meets a thread that
// has the list and wants memory: two well-known allocators hang here.
// run: 60
// long: 300
// timeout: 400s
// norseq: 4
#include <pthread.h>
#include <time.h>
#include "watchdog.h"
static int stop;
static unsigned long forks, reads, flushes;
#define RUNNING (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
static void *forker(void *arg) {
  while (RUNNING) {
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
      watchdog(30);
      for (int i = 0; i < NSIZES; i++) free(hide(malloc(SIZES[i])));
      _exit(0);
    }
    int status;
    while (waitpid(pid, &status, 0) < 0) CHECK(errno == EINTR);
    CHECKF(status == 0, "child ended with status %#x", status);
    __atomic_add_fetch(&forks, 1, __ATOMIC_RELAXED);
  }
  return arg;
}
static void *reader(void *arg) {
  while (RUNNING) {
    FILE *f = fopen("/proc/self/status", "r");
    CHECK(f != NULL);
    char *line = NULL;
    size_t n = 0;
    while (getline(&line, &n, f) > 0) {
    }
    free(line);
    fclose(f);
    __atomic_add_fetch(&reads, 1, __ATOMIC_RELAXED);
  }
  return arg;
}
static void *flusher(void *arg) {
  while (RUNNING) {
    fflush(NULL);
    __atomic_add_fetch(&flushes, 1, __ATOMIC_RELAXED);
  }
  return arg;
}
int main(int argc, char **argv) {
  int seconds = (int)arg_long(argc, argv, 1, 20);
  watchdog((unsigned)seconds + 60);
  pthread_t t[13];
  for (int i = 0; i < 13; i++) CHECK(pthread_create(&t[i], NULL, i < 4 ? forker : i < 12 ? reader : flusher, NULL) == 0);
  for (int s = 0; s < seconds * 4; s++) {
    struct timespec quarter = {0, 250000000};
    nanosleep(&quarter, NULL);
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < 13; i++) pthread_join(t[i], NULL);
  dprintf(1, "%lu forks, %lu files read, %lu flushes\n", forks, reads, flushes);
  CHECK(forks > 0 && reads > 0 && flushes > 0);
  return ok();
}
