package pool

import "millrace/gateway"

// retryLocked queues a call again whose worker has died while it ran it, if
// the app's configuration and the method allow it. Nothing of a response has
// been passed on: the caller has seen to that. A request that took too long,
// for request_timeout or for stop_timeout, is not one whose worker died, and
// nor is one that has had its second worker.
func (p *Pool) retryLocked(ch *channel, c *call) bool {
	if !ch.host.cfg.Retry || c.retried || ch.overdue || p.stopping || ch.process.died == "" && ch.process.killed == "" || !gateway.Idempotent(c.method) {
		return false
	}
	p.log.Warn("worker died while it ran a request; the request is run once more", "app", p.name, "pid", ch.process.pid.Load(),
		"request", c.requestID(), "method", c.method, "uri", c.uri, "how", ch.process.howItDied())
	p.stats.retried++
	c.retried = true
	c.came = p.now() // queue_timeout is about a queue, not about a life
	p.requeueLocked([]*call{c})
	return true
}
