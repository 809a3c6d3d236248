// expect: ^free\b.*double free
// A block freed by its thread and once more by another.
#include "misuse.h"
#include <pthread.h>
static void *block;
static void *again(void *arg) {
  MISUSE(block, free(block));
  return arg;
}
int main(void) {
  bystanders();
  block = hide(malloc(100));
  free(block);
  pthread_t t;
  CHECK(pthread_create(&t, NULL, again, NULL) == 0);
  pthread_join(t, NULL);
  return survived();
}
