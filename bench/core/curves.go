package core

import "strconv"

// Curve is how the cost of something grows with one quantity.
type Curve struct {
	// Key names it in results and in the page.
	Key string
	// Title says what is counted.
	Title string
	// Axis is what it grows with.
	Axis string
	// Points are the values of that, in rising order.
	Points []int
	// Few is the last of them in a short run.
	Few int
	// From is the point from which growth is told: before it something else is measured, as one voter sends nothing.
	From int
	// Linear says that the cost may grow as fast as the quantity; otherwise it should not grow.
	Linear bool
	// Whole says that what the last point comes to for all is of interest.
	Whole bool
	Unit  Unit
	Lines []Line
}

// Line is one of the lines of a curve: one for our library, and, unless Alone, one for its peer.
type Line struct {
	// Key is that of its rows, before a slash and the point.
	Key string
	// Title says which line it is, where a curve has several.
	Title string
	// Alone says that only our library can do it.
	Alone bool
	// Once says that another sample would be the same.
	Once bool
	// Counted are the points for which our instructions are counted, and by how many operations.
	Counted []Counting
}

// Counting is a point, and by how many operations instructions are counted for it: at least 300.
type Counting struct{ Point, Ops int }

// Row returns the row of a point.
func (l Line) Row(c Curve, point int) Row {
	title := l.Title
	if title == "" {
		title = c.Title
	}
	n := strconv.Itoa(point)
	return Row{Key: l.Key + "/" + n, Title: title + ", " + c.Axis + ": " + n, Unit: c.Unit}
}

// manyGroups are the numbers of groups of a host.
func manyGroups() []int { return []int{1, 100, 1000, 10_000, 100_000} }

// Curves returns all curves, in the order in which they are shown.
func Curves() []Curve {
	return []Curve{
		{
			Key: "voters", Title: "time for an entry", Axis: "voters", Points: []int{1, 3, 5, 7, 9, 15, 31, 63, 101}, Few: 101, From: 3,
			Linear: true, Lines: []Line{{Key: "propose", Counted: []Counting{{3, 2000}, {31, 300}, {101, 300}}}},
		},
		{
			Key: "log", Title: "time for an entry, three voters", Axis: "entries in the log before",
			Points: []int{0, 1000, 10_000, 100_000, 1_000_000}, Few: 100_000,
			Lines: []Line{{Key: "log", Counted: []Counting{{0, 2000}, {100_000, 2000}}}},
		},
		{
			Key: "payload", Title: "time for an entry, three voters", Axis: "bytes of its data",
			Points: []int{0, 128, 1 << 10, 8 << 10, 64 << 10, 256 << 10}, Few: 256 << 10,
			Lines: []Line{{Key: "payload", Counted: []Counting{{128, 2000}, {8 << 10, 2000}, {256 << 10, 2000}}}},
		},
		{
			Key: "pending", Title: "time for a proposal, three voters", Axis: "proposals before one Ready",
			Points: []int{1, 4, 16, 64, 256, 1024}, Few: 1024, From: 1, Lines: []Line{{Key: "pending"}},
		},
		{
			Key: "groups", Title: "time for a tick of an idle group", Axis: "groups", Points: manyGroups(), Few: 10_000, From: 1, Whole: true,
			Lines: []Line{
				{Key: "tick-follower", Title: "follower", Counted: []Counting{{1, 100_000}, {1000, 100_000}}},
				{Key: "tick-leader", Title: "leader", Counted: []Counting{{1, 3000}, {1000, 3000}}},
				{Key: "host-ticks", Title: "group"},
				{Key: "host-deadlines", Title: "group by NextDeadline", Alone: true},
				{Key: "host-asleep", Title: "group asleep", Alone: true},
			},
		},
		{
			Key: "memory", Title: "heap of an idle replica", Axis: "groups", Points: manyGroups()[2:], Few: 10_000, From: 1000, Whole: true, Unit: Heap,
			Lines: []Line{
				{Key: "heap-leader", Title: "leader", Once: true},
				{Key: "heap-follower", Title: "follower", Once: true},
				{Key: "heap-leader-asleep", Title: "leader asleep", Alone: true, Once: true},
				{Key: "heap-follower-asleep", Title: "follower asleep", Alone: true, Once: true},
			},
		},
	}
}

// pointMakers has what makes the rows of each line from a point.
func pointMakers[M any]() map[string]func(point int) maker[M] {
	awake := Config{ElectionTick: 10}
	return map[string]func(int) maker[M]{
		"propose":        func(n int) maker[M] { return propose[M](proposals{voters: n, batch: 1, size: usual}) },
		"log":            proposeOnto[M],
		"payload":        func(n int) maker[M] { return propose[M](proposals{voters: 3, batch: 1, size: n}) },
		"pending":        func(n int) maker[M] { return propose[M](proposals{voters: 3, batch: n, size: usual, each: true}) },
		"tick-follower":  followerTick[M],
		"tick-leader":    func(n int) maker[M] { return leaderTick[M](n, false) },
		"host-ticks":     hostTicks[M],
		"host-deadlines": hostDeadlines[M],
		"host-asleep":    hostAsleep[M],

		"heap-leader":          func(n int) maker[M] { return heap[M](0, n, awake) },
		"heap-follower":        func(n int) maker[M] { return heap[M](1, n, awake) },
		"heap-leader-asleep":   func(n int) maker[M] { return heap[M](0, n, asleep()) },
		"heap-follower-asleep": func(n int) maker[M] { return heap[M](1, n, asleep()) },
	}
}

// curves are the rows of all points, of which some are rows of the table too.
func curves[M any]() map[string]maker[M] {
	all, of := make(map[string]maker[M]), pointMakers[M]()
	for _, c := range Curves() {
		for _, l := range c.Lines {
			for _, point := range c.Points {
				all[l.Row(c, point).Key] = of[l.Key](point)
			}
		}
	}
	return all
}
