package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Summary says in a sentence or two how many goals are reached, and which rows are furthest from theirs by the ratio.
func Summary(results []Result) string {
	var goals, reached int
	type miss struct {
		title  string
		factor float64
	}
	var misses []miss
	for _, r := range results {
		switch r.Verdict() {
		case "":
			continue
		case "yes":
			reached++
		}
		goals++
		if ratio, ok := r.Ratio(Ours, Etcd36); ok && r.Goal.Value > 0 && ratio > r.Goal.Ratio() {
			misses = append(misses, miss{r.Title, ratio / r.Goal.Ratio()})
		}
	}
	s := fmt.Sprintf("%d of %d rows with a goal reach it.", reached, goals)
	if len(misses) == 0 {
		return s
	}
	slices.SortFunc(misses, func(a, b miss) int { return cmp.Compare(b.factor, a.factor) })
	var worst []string
	for _, m := range misses[:min(5, len(misses))] {
		worst = append(worst, fmt.Sprintf("%s (%s ×)", m.title, digits(m.factor)))
	}
	return s + " Furthest from theirs: " + strings.Join(worst, "; ") + "."
}
