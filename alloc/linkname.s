// An empty assembly file lets the compiler accept the linknamed declarations in alloc.go.
