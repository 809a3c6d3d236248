// only: vcmalloc
// Every allocation function resolves into the preloaded library, all into one.
#include "check.h"
static const char *const names[] = {
    "malloc", "free", "calloc", "realloc", "reallocarray", "memalign", "aligned_alloc", "posix_memalign", "valloc",
    "pvalloc", "cfree", "malloc_usable_size", "malloc_trim", "mallopt", "mallinfo", "mallinfo2", "malloc_stats",
    "malloc_info", "free_sized", "free_aligned_sized", "sdallocx", "nallocx",
    // operator new, new[], nothrow, aligned, aligned nothrow
    "_Znwm", "_Znam", "_ZnwmRKSt9nothrow_t", "_ZnamRKSt9nothrow_t", "_ZnwmSt11align_val_t", "_ZnamSt11align_val_t",
    "_ZnwmSt11align_val_tRKSt9nothrow_t", "_ZnamSt11align_val_tRKSt9nothrow_t",
    // operator delete, delete[], nothrow, sized, aligned, sized aligned, aligned nothrow
    "_ZdlPv", "_ZdaPv", "_ZdlPvRKSt9nothrow_t", "_ZdaPvRKSt9nothrow_t", "_ZdlPvm", "_ZdaPvm", "_ZdlPvSt11align_val_t",
    "_ZdaPvSt11align_val_t", "_ZdlPvmSt11align_val_t", "_ZdaPvmSt11align_val_t", "_ZdlPvSt11align_val_tRKSt9nothrow_t",
    "_ZdaPvSt11align_val_tRKSt9nothrow_t"};
int main(void) {
  if (!expecting()) return ok();
  char lib[PATH_MAX] = "";
  int bad = 0;
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    void *f = dlsym(RTLD_DEFAULT, names[i]);
    Dl_info info;
    if (f == NULL || !dladdr(f, &info)) {
      dprintf(2, "%s: not found\n", names[i]);
      bad++;
      continue;
    }
    if (lib[0] == 0) snprintf(lib, sizeof lib, "%s", info.dli_fname);
    if (strcmp(lib, info.dli_fname)) {
      dprintf(2, "%s is in %s, malloc in %s\n", names[i], info.dli_fname, lib);
      bad++;
    }
  }
  CHECKF(bad == 0, "%d symbols escape", bad);
  CHECKF(getenv("LD_PRELOAD") && strstr(getenv("LD_PRELOAD"), strrchr(lib, '/') ? strrchr(lib, '/') + 1 : lib), "malloc is in %s", lib);
  return ok();
}
