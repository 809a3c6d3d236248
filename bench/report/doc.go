// Package report holds the results of a bench run and shows them: as tables on a terminal, as JSON for machines,
// and as one HTML file with its plots inside, which loads nothing from anywhere.
//
// Everything shown is computed from the values of the rounds, which the JSON keeps: Suite.Judge does it again
// from a file that was read back.
package report
