// Package designs compares designs with the legacy design, from one binary by VCMALLOC_FEATURES: each alone, and
// all together, over the workloads and the synthetic fleet. Its tables have the shape of the paper's Tables 5.1
// and 5.2 and of Figs. 5.10, 5.14 and 5.17.
//
// A design is a Design in a file of its own, listed in the variable designs. What can be read from a running
// heap's statistics is an Instrument, also in a file of its own, listed in the variable instruments. Every
// instrument watches every run, of the legacy design as of the others, so that both stand on the same footing:
// being watched costs both the same.
package designs
