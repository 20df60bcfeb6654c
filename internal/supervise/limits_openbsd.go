package supervise

// moreResources: OpenBSD counts no address space; it has "data".
func moreResources() map[string]int { return nil }
