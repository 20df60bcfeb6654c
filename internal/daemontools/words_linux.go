package daemontools

import "golang.org/x/sys/unix"

func moreErrnoWords() map[unix.Errno]string {
	return map[unix.Errno]string{
		unix.ENOSTR: "not a stream device", unix.ETIME: "timer expired", unix.ENOSR: "out of stream resources",
		unix.ENONET: "machine not on network", unix.EADV: "advertise error", unix.ESRMNT: "srmount error",
		unix.ECOMM: "communication error", unix.ENOLINK: "link severed", unix.EMULTIHOP: "multihop attempted",
	}
}
