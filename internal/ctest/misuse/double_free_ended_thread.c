// expect: ^free\b.*double free
// A block freed by a thread that has ended, then by main.
#include "misuse.h"
#include <pthread.h>
static void *once(void *block) {
  free(block);
  return NULL;
}
int main(void) {
  bystanders();
  void *p = hide(malloc(200));
  pthread_t t;
  CHECK(pthread_create(&t, NULL, once, p) == 0);
  pthread_join(t, NULL);
  MISUSE(p, free(p));
  return survived();
}
