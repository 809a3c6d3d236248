// vfork, posix_spawn, system and popen from a program whose threads allocate.
// timeout: 60s
#include <pthread.h>
#include <spawn.h>
#include "watchdog.h"
static int stop;
static void *worker(void *arg) {
  uint64_t seed = (uint64_t)(uintptr_t)arg;
  while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
    void *p = hide(malloc(rnd(&seed) % 30000));
    p = hide(realloc(p, rnd(&seed) % 30000 + 1));
    free(p);
  }
  return NULL;
}
int main(void) {
  watchdog(50);
  pthread_t t[3];
  for (int i = 0; i < 3; i++) CHECK(pthread_create(&t[i], NULL, worker, (void *)(uintptr_t)(i + 1)) == 0);
  char *argv[] = {(char *)"true", NULL};
  for (int i = 0; i < 60; i++) {
    int status;
    pid_t pid;
    if (i % 2) {
      CHECK(posix_spawnp(&pid, "true", NULL, NULL, argv, environ) == 0);
    } else {
      pid = vfork();
      if (pid == 0) {
        execvp("true", argv);
        _exit(127);
      }
    }
    CHECK(pid > 0 && waitpid(pid, &status, 0) == pid && status == 0);
    if (i % 10 == 0) {
      CHECK(system("exit 3") == 3 << 8);
      FILE *f = popen("echo some words", "r");
      char line[100] = "";
      CHECK(f != NULL && fgets(line, sizeof line, f) && !strcmp(line, "some words\n") && pclose(f) == 0);
    }
  }
  __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
  for (int i = 0; i < 3; i++) pthread_join(t[i], NULL);
  return ok();
}
