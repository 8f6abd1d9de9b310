package config

import "strings"

// nearest returns the name that is most like the given one, "" when none is.
func nearest(given string, names []string) string {
	best, distance := "", 0
	plain := fold(given)
	// A wrong suggestion is worse than none: --wsgi-file is three steps from --log-file.
	allowed := 1
	if len(plain) >= 8 {
		allowed = 2
	}
	for _, name := range names {
		other := fold(name)
		d := 2 * editDistance(plain, other)
		if len(plain) > 3 && strings.HasPrefix(other, plain) { // --limit-request-body as --limit-request-b
			d = min(d, 3) // but --worker is --workers, and not --worker-connections
		}
		if (d <= 2*allowed || d == 3) && len(plain) > 1 && (best == "" || d < distance) {
			best, distance = name, d
		}
	}
	return best
}

func fold(s string) string {
	return strings.ReplaceAll(strings.ToLower(strings.TrimLeft(s, "-")), "_", "-")
}

// editDistance counts insertions, deletions, replacements and swaps of neighbours.
func editDistance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
