package bugs

// Absent is a number of the list that has no bug here.
type Absent struct {
	Number int
	Title  string
	// Why says why it cannot exist in this design, or what it waits for.
	Why string
}

// NotApplicable returns the numbers of the list, up to Listed, that have no bug
// here, each with the reason.
func NotApplicable() []Absent {
	return []Absent{
		{8, "rolls back only one configuration on truncation",
			"a log holds at most one change that is not known to be committed, also where changes take effect on append: " +
				"another is taken only after the commit, and no leader without it is elected. TestOnAppendTruncationGoesBack " +
				"replaces several all the same; 64 and 86 are the like of it"},
		{33, "the log truncated front to back",
			"the storages of this module replace a suffix in one step; waits for a disk of which a crash can leave part " +
				"of a truncation"},
		{34, "directory not synced after a rename",
			"nothing here renames files; waits for a disk with directories, or a storage in files"},
		{39, "an acknowledgement from a node's former life moves its new progress",
			"the simulator uses no ID again, by contract (Config.ID); answers echo sessions against it, which " +
				"TestAnswersOfAFormerLifeMoveNothing shows"},
		{50, "'you were removed' believed though older",
			"the word moves nothing but the host; the simulator would see it (S11a), and no run met it: a new voter would " +
				"have to ask a member that lags two changes behind. TestOldWordOfARemovalIsIgnored"},
	}
}
