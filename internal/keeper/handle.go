//go:build unix

package keeper

// What a front asks for, and what it is told.

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// handle does what a front asks for, and replies.
func (k *Keeper) handle(f *front, m *message) {
	reply := &message{ID: m.ID, Do: "reply"}
	var files []*os.File
	err := errUnknown
	switch m.Do {
	case "start":
		k.start(f, m)
		return // that takes its time
	case "adopt":
		reply.PID, err = m.PID, k.adopt(f, m.PID)
	case "signal", "kill":
		k.signalProcess(f, m)
		return
	case "listen":
		var file *os.File
		if reply.Address, file, err = k.listen(f, m); err == nil {
			files = append(files, file)
		}
	case "packet":
		var file *os.File
		var later bool
		if reply.Address, file, later, err = k.packet(f, m); later {
			return // when the front that has it lets it go
		}
		if err == nil {
			files = append(files, file)
		}
	case "give up":
		k.giveUp(f, m.Address)
		return
	case "release":
		if err = nil; k.release(f, m.Address) {
			reply.Text = lastUser
		}
	case "mode":
		err = k.setMode(m)
	case "log":
		var file *os.File
		if file, err = k.openLog(m.Path); err == nil {
			defer file.Close()
			files = append(files, file)
		}
	case "read":
		var file *os.File
		if file, err = k.openFile(m.Path); err == nil {
			defer file.Close()
			files = append(files, file)
		}
	case "rotate":
		err = k.rotateLog(m.Path)
	case "pid":
		if err = nil; !k.pidfile {
			err = k.opt.WritePID()
			k.pidfile = err == nil
		}
	case "take":
		err = nil
		if f == k.next {
			k.handOver()
		}
	case "serving":
		err = k.serving(f, m)
	case "stop":
		k.signal(syscall.SIGTERM)
		return
	case "failed":
		if m.Failed != nil {
			f.failure = m.Failed
		}
		return
	case "remember":
		k.memory = m.Body
		return
	case "use":
		k.use(f, m.Plan)
		return
	case "load":
		k.load(f, m)
		return // that, too
	case "upgrade":
		k.upgrade(func(err error) { k.reply(f, &message{ID: m.ID, Do: "reply", Failed: failed(err)}) }, f.number, m.ID)
		return
	case "notify":
		if f == k.current && k.opt.Notify != nil {
			k.opt.Notify(m.Text)
		}
		return
	}
	reply.Failed = failed(err)
	k.reply(f, reply, files...)
	if reply.PID > 0 && err == nil {
		k.follow(reply.PID) // its exit comes after the reply
	}
}

var errUnknown = errors.New("the keeper does not know what that is")

// reply sends a front what it waits for. One that does not read is at its end.
func (k *Keeper) reply(f *front, m *message, files ...*os.File) {
	_ = f.wire.conn.SetWriteDeadline(time.Now().Add(sendPatience))
	if err := f.wire.send(m, files...); err != nil {
		k.opt.Log.Error("cannot talk to the front; it is killed", "pid", f.process.PID(), "error", err)
		_ = f.process.Kill()
	}
}

// sendPatience is how long a front may leave its messages unread.
const sendPatience = 10 * time.Second
