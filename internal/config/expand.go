package config

import (
	"fmt"
	"os"
	"strings"
)

// expand puts the environment's values for ${NAME}. What comes out of a
// variable is not looked at again.
func expand(text string) (string, *refusal) {
	var b strings.Builder
	for {
		i := strings.Index(text, "${")
		if i < 0 {
			return b.String() + text, nil
		}
		after := text[i+2:]
		name := leadingName(after)
		closed := name != "" && strings.HasPrefix(after[len(name):], "}")
		switch {
		case name == "": // "${" with no name behind it is not ours
			b.WriteString(text[:i+2])
			text = after
		case i > 0 && text[i-1] == '$': // $${NAME} is ${NAME}
			b.WriteString(text[:i] + "{")
			text = after
		case !closed:
			return "", &refusal{
				fmt.Sprintf("${%s is not closed by }", short(name)),
				"a variable is ${NAME}, of letters, digits and _; write $${ for ${ itself",
			}
		default:
			v, ok := os.LookupEnv(name)
			if !ok {
				return "", &refusal{
					fmt.Sprintf("the environment has no variable %s", short(name)),
					fmt.Sprintf("set %s before millrace starts, or write $${%s} for the text itself", short(name), short(name)),
				}
			}
			b.WriteString(text[:i] + v)
			text = after[len(name)+1:]
		}
	}
}

// leadingName is the name of a variable that text begins with.
func leadingName(text string) string {
	for i := range len(text) {
		c := text[i]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return text[:i]
		}
	}
	return text
}
