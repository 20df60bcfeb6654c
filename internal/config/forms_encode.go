package config

// Forms of compression, and of files that apps have sent.

import "strings"

var (
	formCompressTypes = form{takes: `media types, like "application/json", "text/*" or "*+json"`, some: true, check: checkCompressType}
	formEncodings     = form{takes: `"zstd", "br" and "gzip", or some of them`, some: true, check: checkEncoding}
	formDocroots      = form{takes: "the path of a folder that exists, or a list of them", check: checkRoot}
)

func checkCompressType(_, text string) (string, *refusal) {
	kept := strings.ToLower(text)
	if rest, ok := strings.CutPrefix(kept, "*+"); ok && rest != "" && !strings.ContainsAny(rest, "*/;, ") {
		return kept, nil
	}
	if strings.Contains(text, ";") {
		return "", &refusal{"has a parameter", "write the type alone: it goes for every charset"}
	}
	if _, bad := checkMediaType("", strings.Replace(kept, "/*", "/x", 1)); bad != nil || strings.Count(kept, "*") > 1 || strings.Contains(kept, "*") && !strings.HasSuffix(kept, "/*") {
		return "", refuse("is not a media type")
	}
	return kept, nil
}

func checkEncoding(_, text string) (string, *refusal) {
	switch text {
	case "brotli":
		return "", &refusal{"is called br in HTTP", `write "br"`}
	case "deflate":
		return "", &refusal{"is understood in two ways by clients", `leave it out: who takes it takes "gzip"`}
	}
	return oneOf(text, "is not an encoding", "zstd", "br", "gzip")
}
