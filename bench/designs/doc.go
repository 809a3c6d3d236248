// Package designs compares the paper's four designs with the legacy design, from one binary by VCMALLOC_FEATURES:
// each alone, and all together, over the workloads and the synthetic fleet. Its tables have the shape of the
// paper's Tables 5.1 and 5.2 and of Figs. 5.10, 5.14 and 5.17.
//
// A design that another issue brings appears by a line in the table variants.
package designs
