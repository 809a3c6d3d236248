// malloc_info writes well-formed XML, <malloc version="...">, with figures that
// cover what the program holds; options other than 0 are refused.
#include "check.h"
#include <ctype.h>
static char text[1 << 20];
static size_t largest;
// parse walks tags and attributes, keeps a stack of open names, and notes the
// largest number seen.
static void parse(const char *s) {
  static char stack[64][64];
  int depth = 0, roots = 0;
  while (*s) {
    if (*s != '<') {
      CHECKF(*s != '>', "stray > at: %.40s", s);
      CHECKF(depth > 0 || isspace((unsigned char)*s), "text outside the root: %.40s", s);
      if (isdigit((unsigned char)*s)) {
        char *end;
        size_t n = strtoull(s, &end, 10);
        if (n > largest) largest = n;
        s = end;
      } else s++;
      continue;
    }
    s++;
    if (*s == '?') {
      s = strstr(s, "?>");
      CHECK(s != NULL);
      s += 2;
      continue;
    }
    int closing = *s == '/';
    if (closing) s++;
    char name[64];
    size_t n = strcspn(s, " \t\n/>");
    CHECKF(n > 0 && n < sizeof name, "tag at: %.40s", s);
    memcpy(name, s, n);
    name[n] = 0;
    s += n;
    if (closing) {
      CHECKF(*s == '>' && depth > 0 && !strcmp(stack[depth - 1], name), "</%s> does not close <%s>", name, depth ? stack[depth - 1] : "");
      depth--, s++;
      continue;
    }
    if (depth == 0) {
      CHECKF(!strcmp(name, "malloc") && roots++ == 0, "root <%s>", name);
      CHECKF(!strncmp(s, " version=\"", 10), "no version: %.40s", s);
    }
    for (;;) {
      s += strspn(s, " \t\n");
      if (*s == '>' || !strncmp(s, "/>", 2)) break;
      size_t key = strcspn(s, "= >");
      CHECKF(key > 0 && s[key] == '=' && s[key + 1] == '"', "attribute at: %.40s", s);
      s += key + 2;
      size_t v = strtoull(s, NULL, 10);
      if (v > largest) largest = v;
      s = strchr(s, '"');
      CHECK(s != NULL);
      s++;
    }
    if (*s == '/') {
      s += 2;
    } else {
      s++;
      CHECK(depth < 64);
      strcpy(stack[depth++], name);
    }
  }
  CHECKF(depth == 0 && roots == 1, "%d tags left open", depth);
}
int main(void) {
  enum { N = 300000 };
  static void *p[N];
  for (int i = 0; i < N; i++) CHECK((p[i] = hide(malloc(100))) != NULL);
  FILE *f = tmpfile();
  CHECK(f != NULL);
  CHECK(malloc_info(0, f) == 0);
  rewind(f);
  size_t n = fread(text, 1, sizeof text - 1, f);
  CHECKF(n > 20, "%zu bytes of XML", n);
  parse(text);
  CHECKF(largest >= (size_t)N * 100, "no figure covers the %d bytes held; the largest is %zu", N * 100, largest);
  CHECK(malloc_info(1, f) != 0);
  for (int i = 0; i < N; i++) free(p[i]);
  return ok();
}
