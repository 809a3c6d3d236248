// A library with an IFUNC resolver that allocates.
#include "ifunc.h"
int library_answer(void);
int library_blocks(void);
int library_answer(void) { return answer(); }
int library_blocks(void) { return ifunc_blocks(); }
