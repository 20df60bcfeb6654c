package server

import (
	"fmt"
	"strings"

	"millrace/internal/attach"
	"millrace/internal/config"
	"millrace/internal/supervise"
)

// cronJob maps a line of an app's crontab.
func cronJob(app string, n int, line string, like *supervise.Command) (attach.Job, error) {
	t, err := config.ParseCron(line)
	if err != nil {
		return attach.Job{}, fmt.Errorf("app %s: cron line %q %w", app, line, err) // package config refuses it
	}
	c := commandLike(like, fmt.Sprintf("app %s cron %d", app, n+1))
	// In a crontab an unescaped % ends the command, so that those who copy one
	// have written \%.
	c.Path, c.Args = "/bin/sh", []string{"/bin/sh", "-c", strings.ReplaceAll(t.Command, `\%`, "%")}
	return attach.Job{Line: line, Command: c, Schedule: attach.Schedule{
		Minute: t.Minute, Hour: t.Hour, Day: t.Day, Month: t.Month, Weekday: t.Weekday,
		AnyDay: t.AnyDay, AnyWeekday: t.AnyWeekday, Wildcard: t.Wildcard,
	}}, nil
}
