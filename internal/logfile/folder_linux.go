package logfile

import "golang.org/x/sys/unix"

// folderFlags open a folder to go on from: it need not be readable.
const folderFlags = unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC
