// The report's rows of vCPUs, as malloc_stats prints them.
#ifndef CTEST_BOOKS_H
#define CTEST_BOOKS_H

#include <unistd.h>

#include "check.h"

struct vcpu_row {
  unsigned long long v, used, capacity, available, slab, under, over, drains, steals, resizes;
};

// each_vcpu calls f with each row, and returns how many there are.
static int each_vcpu(void (*f)(const struct vcpu_row *)) {
  char path[] = "/tmp/books.XXXXXX";
  int fd = mkstemp(path), err = dup(2);
  CHECK(fd >= 0 && err >= 0 && dup2(fd, 2) == 2);
  malloc_stats();
  CHECK(dup2(err, 2) == 2 && lseek(fd, 0, SEEK_SET) == 0);
  close(err);
  FILE *in = fdopen(fd, "r");
  char line[512];
  int rows = 0, in_table = 0;
  while (fgets(line, sizeof line, in) != NULL) {
    struct vcpu_row r;
    if (strncmp(line, " vCPU", 5) == 0) in_table = 1;
    if (in_table && sscanf(line, "%llu %llu %llu %llu %llu %llu %llu %llu %llu %llu", &r.v, &r.used, &r.capacity, &r.available,
                           &r.slab, &r.under, &r.over, &r.drains, &r.steals, &r.resizes) == 10) {
      rows++;
      f(&r);
    }
  }
  fclose(in);
  unlink(path);
  return rows;
}

#endif
