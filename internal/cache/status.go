package cache

import "sync/atomic"

// counts are what has happened since the start.
type counts struct {
	hits, staleHits, misses, revalidated, confirmed, collapsed, bypassed, hidden atomic.Uint64

	fetches, stored, purged, invalidated, corrupt, diskErrors atomic.Uint64
}

// Status is a snapshot of a Cache.
type Status struct {
	Folder  string `json:"folder,omitempty"`
	Scanned bool   `json:"scanned"` // all that is on disk is known

	Keys        int   `json:"keys"`
	InMemory    int   `json:"in_memory"` // responses
	OnDisk      int   `json:"on_disk"`
	MemoryUsed  int64 `json:"memory_used"` // bytes
	MemoryLimit int64 `json:"memory_limit"`
	DiskUsed    int64 `json:"disk_used"`
	DiskLimit   int64 `json:"disk_limit"`
	Fetching    int   `json:"fetching"` // now

	Hits        uint64 `json:"hits"`        // answered from what is stored and fresh
	Stale       uint64 `json:"stale"`       // answered from what is stored and stale
	Misses      uint64 `json:"misses"`      // asked for, as nothing was stored
	Revalidated uint64 `json:"revalidated"` // asked for, as what was stored was not to be used unasked
	Confirmed   uint64 `json:"confirmed"`   // of them: answered with 304
	Hidden      uint64 `json:"hidden"`      // of them: an error, in whose place the stored one went out
	Collapsed   uint64 `json:"collapsed"`   // answered by another request's fetch
	Bypassed    uint64 `json:"bypassed"`    // let by
	Fetches     uint64 `json:"fetches"`
	Stored      uint64 `json:"stored"`
	Purged      uint64 `json:"purged"`
	Invalidated uint64 `json:"invalidated"` // by requests that changed something

	EvictedMemory uint64 `json:"evicted_memory"`
	EvictedDisk   uint64 `json:"evicted_disk"`
	Corrupt       uint64 `json:"corrupt"` // files that were not what they should be, and were not served
	DiskErrors    uint64 `json:"disk_errors"`
}

// Status returns how the cache is.
func (c *Cache) Status() Status {
	n := &c.counts
	s := Status{
		Hits: n.hits.Load(), Stale: n.staleHits.Load(), Misses: n.misses.Load(), Revalidated: n.revalidated.Load(),
		Confirmed: n.confirmed.Load(), Hidden: n.hidden.Load(), Collapsed: n.collapsed.Load(), Bypassed: n.bypassed.Load(),
		Fetches: n.fetches.Load(), Stored: n.stored.Load(), Purged: n.purged.Load(), Invalidated: n.invalidated.Load(),
		Corrupt: n.corrupt.Load(), DiskErrors: n.diskErrors.Load(),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	select {
	case <-c.scanned:
		s.Scanned = true
	default:
	}
	st := c.store
	s.Folder, s.Fetching = c.cfg.Folder, c.active
	s.Keys, s.InMemory, s.OnDisk = len(st.pages), st.cold.Len()+st.hot.Len(), st.files.Len()
	s.MemoryUsed, s.MemoryLimit, s.DiskUsed, s.DiskLimit = st.memory, st.maxMemory, st.used, st.maxDisk
	s.EvictedMemory, s.EvictedDisk = st.evictedMemory, st.evictedDisk
	return s
}
