// Package stat turns rounds of paired measurements into figures that can be believed: medians with their
// spread, ratios to a baseline formed round by round, and the verdict "no difference".
//
// # Method
//
// In every round each subject runs once, so that the k-th figures of two subjects were measured close together
// and drift of the machine (a neighbour, the clock, a warm cache) moves both. The ratio of two subjects is the
// median of the ratios of their rounds, never the ratio of two medians.
//
// The spread of a median is its distribution-free confidence interval from order statistics: the interval from
// the k-th smallest to the k-th largest of n values covers the true median with probability
// 1 - 2*P(Binomial(n, 1/2) < k), whatever the distribution. We take the narrowest that reaches 99 %. Up to 7
// rounds none does: then it is the whole range, and Level says what it is worth (5 rounds: 93.75 %).
// It needs no random numbers, so a report can be computed again from its JSON to the digit.
package stat
