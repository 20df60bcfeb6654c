package static

import (
	"path"
	"strings"
)

// Types finds a file's media type by its name. It is immutable.
type Types struct {
	byExt map[string]string // ".html", lower case
	own   map[string]string // if not nil, in place of it: names and endings, lower case
}

// unknownType is the type of a file whose name says nothing.
const unknownType = "application/octet-stream"

// NewTypes returns the built-in table with extra added to it. The table does
// not depend on the machine (/etc/mime.types is not read): a site answers the
// same everywhere.
//
// The keys of extra are extensions, ".foo" or "foo", in any case; what they
// say wins. A type that begins with text/ and names no charset gets utf-8.
func NewTypes(extra map[string]string) *Types {
	t := &Types{byExt: make(map[string]string, 600)}
	for line := range strings.Lines(builtin) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0] == "#" {
			continue
		}
		for _, ext := range fields[1:] {
			t.byExt["."+ext] = withCharset(fields[0])
		}
	}
	for ext, mediaType := range extra {
		t.byExt["."+strings.ToLower(strings.TrimPrefix(ext, "."))] = withCharset(mediaType)
	}
	return t
}

// TableOf returns a table that has nothing built in. Its keys are endings that
// begin with a dot, names in full, and "" for what has none of these; case does
// not count. Of the endings of a name the longest is taken: ".tar.gz" before
// ".gz". The types are sent as they are written, an empty one not at all.
func TableOf(table map[string]string) *Types {
	t := &Types{own: make(map[string]string, len(table))}
	for name, mediaType := range table {
		t.own[strings.ToLower(name)] = mediaType
	}
	return t
}

func withCharset(mediaType string) string {
	if lower := strings.ToLower(mediaType); strings.HasPrefix(lower, "text/") && !strings.Contains(lower, "charset") {
		return mediaType + "; charset=utf-8"
	}
	return mediaType
}

// ByName returns the media type of a file called name (a name or a path), by
// its last extension in any case; application/octet-stream if it is unknown. It
// is empty only of a table of its own.
func (t *Types) ByName(name string) string {
	if t.own != nil {
		return t.byOwn(strings.ToLower(name[strings.LastIndexByte(name, '/')+1:]))
	}
	ext := path.Ext(name)
	if mediaType, ok := t.byExt[ext]; ok {
		return mediaType
	}
	if mediaType, ok := t.byExt[strings.ToLower(ext)]; ok {
		return mediaType
	}
	return unknownType
}

func (t *Types) byOwn(name string) string {
	if mediaType, ok := t.own[name]; ok && name != "" {
		return mediaType
	}
	for at := 0; at < len(name); at++ {
		if name[at] == '.' {
			if mediaType, ok := t.own[name[at:]]; ok {
				return mediaType
			}
		}
	}
	if mediaType, ok := t.own[""]; ok {
		return mediaType
	}
	return unknownType
}

// builtin is the table: a type, then its extensions. It holds all that Go's
// package mime has built in (but .webm, which is video far more often), and
// the types registered with IANA or in common use for what sites offer.
const builtin = `
# text
text/calendar ics ifb
text/css css
text/csv csv
text/html html htm shtml ehtml
text/javascript js mjs cjs
text/markdown md markdown
text/plain txt text log conf ini cfg list in asc diff patch nfo sum sha1 sha256 sha512 md5
text/richtext rtx
text/tab-separated-values tsv
text/troff man
text/turtle ttl
text/vcard vcf vcard
text/vtt vtt
text/xml xml xsl xsd xbl
text/x-asm s asm
text/x-c c h cc cpp cxx hh hpp hxx
text/x-diff dif
text/x-dockerfile dockerfile
text/x-go go
text/x-java java
text/x-lua lua
text/x-pascal pas
text/x-perl pl pm
text/x-python py pyi
text/x-rst rst
text/x-ruby rb
text/x-rust rs
text/x-sass sass
text/x-scss scss
text/x-less less
text/x-setext etx
text/x-shellscript sh bash zsh
text/x-sql sql
text/x-component htc
text/x-tex tex ltx sty cls
text/x-toml toml
text/yaml yaml yml
text/cache-manifest appcache manifest
text/mathml mml
text/vnd.wap.wml wml
text/jsx jsx

# data
application/atom+xml atom
application/geo+json geojson
application/gpx+xml gpx
application/json json map
application/json5 json5
application/jsonl jsonl ndjson
application/ld+json jsonld
application/manifest+json webmanifest
application/msgpack msgpack
application/cbor cbor
application/rdf+xml rdf owl
text/x-opml opml
application/rss+xml rss
application/schema+json jsonschema
application/vnd.apache.parquet parquet
application/vnd.apache.arrow.file arrow feather
application/vnd.google-earth.kml+xml kml
application/vnd.google-earth.kmz kmz
application/vnd.sqlite3 sqlite sqlite3 db
application/wasm wasm
application/xhtml+xml xhtml xht
application/xml-dtd dtd
application/xspf+xml xspf
application/xslt+xml xslt
application/x-hdf5 h5 hdf5
application/x-netcdf nc cdf
application/x-ipynb+json ipynb
application/x-web-app-manifest+json webapp
application/dash+xml mpd
application/ttml+xml ttml
application/smil+xml smil smi

# images
image/aces exr
image/apng apng
image/avif avif
image/avif-sequence avifs
image/bmp bmp dib
image/cgm cgm
image/fits fits fit fts
image/gif gif
image/heic heic
image/heif heif
image/hej2k hej2
image/jpeg jpeg jpg jpe jfif pjpeg pjp
image/jp2 jp2
image/jpx jpx jpf
image/jxl jxl
image/ktx ktx
image/ktx2 ktx2
image/png png
image/prs.btif btif
image/qoi qoi
image/svg+xml svg svgz
image/tiff tiff tif
image/vnd.adobe.photoshop psd
image/vnd.djvu djvu djv
image/vnd.dwg dwg
image/vnd.dxf dxf
image/vnd.microsoft.icon ico cur
image/vnd.ms-dds dds
image/vnd.radiance hdr
image/vnd.wap.wbmp wbmp
image/webp webp
image/wmf wmf
image/emf emf
image/x-adobe-dng dng
image/x-canon-cr2 cr2
image/x-nikon-nef nef
image/x-sony-arw arw
image/x-cmu-raster ras
image/x-jng jng
image/x-pcx pcx
image/x-pict pic pct
image/x-portable-anymap pnm
image/x-portable-bitmap pbm
image/x-portable-graymap pgm
image/x-portable-pixmap ppm
image/x-rgb rgb
image/x-tga tga
image/x-xbitmap xbm
image/x-xcf xcf
image/x-xpixmap xpm
image/x-xwindowdump xwd

# sound
audio/aac aac adts
audio/ac3 ac3
audio/aiff aif aiff aifc
audio/amr amr
audio/basic au snd
audio/flac flac
audio/matroska mka
audio/midi mid midi kar rmi
audio/mp4 m4a m4b m4p mp4a f4a
audio/mpeg mp3 mp2 mpga m2a m3a
audio/ogg ogg oga opus spx
audio/vnd.dts dts
audio/vnd.wave wave
audio/wav wav
audio/webm weba
audio/x-ms-wma wma
audio/x-musepack mpc
audio/x-mpegurl m3u
audio/x-pn-realaudio ra ram
audio/x-scpls pls
audio/xm xm

# video
application/mp4 mp4s m4s
application/ogg ogx
application/vnd.apple.mpegurl m3u8
application/vnd.rn-realmedia rm
application/vnd.ms-asf asx
video/3gpp 3gp 3gpp
video/3gpp2 3g2
video/av1 obu
video/h264 h264
video/h265 h265
video/matroska mkv mk3d mks
video/mp2t ts m2ts mts
video/mp4 mp4 mp4v mpg4 m4v f4v
video/mpeg mpeg mpg mpe m1v m2v
video/ogg ogv
video/quicktime mov qt
video/vnd.mpegurl mxu m4u
video/webm webm
video/x-flv flv
video/x-mng mng
video/x-ms-asf asf
video/x-ms-wm wm
video/x-ms-wmv wmv
video/x-ms-wmx wmx
video/x-ms-wvx wvx
video/x-msvideo avi
application/x-subrip srt
text/x-ssa ssa ass

# fonts
application/vnd.ms-fontobject eot
font/collection ttc
font/otf otf
font/ttf ttf
font/woff woff
font/woff2 woff2
application/x-font-bdf bdf
application/x-font-pcf pcf
application/x-font-type1 pfa pfb pfm afm

# documents and office
application/epub+zip epub
application/fdf fdf
application/illustrator ait
application/msword doc dot
application/oda oda
application/oxps oxps
application/pdf pdf
application/pgp-encrypted pgp
application/pgp-signature sig
application/postscript ps ai eps
application/rtf rtf
application/vnd.amazon.ebook azw
application/vnd.amazon.mobi8-ebook azw3
application/x-mobipocket-ebook mobi prc
application/x-fictionbook+xml fb2
application/x-dvi dvi
application/x-latex latex
application/x-texinfo texi texinfo
application/x-troff t tr roff
application/vnd.apple.keynote key keynote
application/vnd.apple.numbers numbers
application/vnd.apple.pages pages
application/vnd.lotus-1-2-3 123
application/vnd.mozilla.xul+xml xul
application/vnd.ms-excel xls xlm xla xlc xlt xlw
application/vnd.ms-excel.addin.macroenabled.12 xlam
application/vnd.ms-excel.sheet.binary.macroenabled.12 xlsb
application/vnd.ms-excel.sheet.macroenabled.12 xlsm
application/vnd.ms-excel.template.macroenabled.12 xltm
application/vnd.ms-htmlhelp chm
application/vnd.ms-outlook msg
application/vnd.ms-powerpoint ppt pps pot
application/vnd.ms-powerpoint.presentation.macroenabled.12 pptm
application/vnd.ms-powerpoint.slideshow.macroenabled.12 ppsm
application/vnd.ms-project mpp mpt
application/vnd.ms-word.document.macroenabled.12 docm
application/vnd.ms-word.template.macroenabled.12 dotm
application/vnd.ms-works wps wks wcm wdb
application/vnd.ms-xpsdocument xps
application/vnd.oasis.opendocument.base odb
application/vnd.oasis.opendocument.chart odc
application/vnd.oasis.opendocument.formula odf
application/vnd.oasis.opendocument.graphics odg
application/vnd.oasis.opendocument.graphics-template otg
application/vnd.oasis.opendocument.image odi
application/vnd.oasis.opendocument.presentation odp
application/vnd.oasis.opendocument.presentation-template otp
application/vnd.oasis.opendocument.spreadsheet ods
application/vnd.oasis.opendocument.spreadsheet-template ots
application/vnd.oasis.opendocument.text odt
application/vnd.oasis.opendocument.text-master odm
application/vnd.oasis.opendocument.text-template ott
application/vnd.oasis.opendocument.text-web oth
application/vnd.openxmlformats-officedocument.presentationml.presentation pptx
application/vnd.openxmlformats-officedocument.presentationml.slide sldx
application/vnd.openxmlformats-officedocument.presentationml.slideshow ppsx
application/vnd.openxmlformats-officedocument.presentationml.template potx
application/vnd.openxmlformats-officedocument.spreadsheetml.sheet xlsx
application/vnd.openxmlformats-officedocument.spreadsheetml.template xltx
application/vnd.openxmlformats-officedocument.wordprocessingml.document docx
application/vnd.openxmlformats-officedocument.wordprocessingml.template dotx
application/vnd.stardivision.calc sdc
application/vnd.stardivision.impress sdd
application/vnd.stardivision.writer sdw
application/vnd.sun.xml.calc sxc
application/vnd.sun.xml.impress sxi
application/vnd.sun.xml.writer sxw
application/vnd.visio vsd vsdx vst vss
application/vnd.wordperfect wpd
application/x-abiword abw
application/x-gnumeric gnumeric
application/x-mspublisher pub
message/rfc822 eml mime mht mhtml nws
application/mbox mbox

# archives and compression
application/gzip gz tgz taz
application/java-archive jar war ear
application/vnd.android.package-archive apk
application/vnd.cncf.helm.chart.content.v1.tar+gzip helm
application/vnd.ms-cab-compressed cab
application/vnd.rar rar
application/x-7z-compressed 7z
application/x-ace-compressed ace
application/x-alz-compressed alz
application/x-archive a ar
application/x-arj arj
application/x-brotli br
application/x-bzip bz
application/x-bzip2 bz2 tbz tbz2 boz
application/x-compress z
application/x-cpio cpio
application/x-gtar gtar
application/x-lha lha lzh
application/x-lz4 lz4
application/x-lzip lz tlz
application/x-lzma lzma
application/x-lzop lzo
application/x-rzip rz
application/x-snappy-framed sz
application/x-stuffit sit sitx
application/x-tar tar
application/x-ustar ustar
application/x-xar xar pkg
application/x-xz xz txz
application/x-zpaq zpaq
application/zip zip
application/zstd zst tzst

# packages, images of disks, programs
application/java-vm class
application/octet-stream bin com exe dll so dylib o obj lib img dmg dump deploy pak rom bpk pdb elc pyc pyo
application/vnd.apple.installer+xml mpkg
application/vnd.apple.pkpass pkpass
application/vnd.appimage appimage
application/vnd.debian.binary-package deb udeb ddeb
application/vnd.flatpak flatpak
application/vnd.flatpak.ref flatpakref
application/vnd.microsoft.appx appx msix
application/vnd.snap snap
application/vnd.symbian.install sis sisx
application/x-bittorrent torrent
application/x-chrome-extension crx
application/x-debian-source dsc
application/x-iso9660-image iso
application/x-java-jnlp-file jnlp
application/x-msi msi msp
application/x-python-wheel whl
application/x-qcow2 qcow2
application/x-raw-disk-image raw
application/x-redhat-package-manager rpm
application/x-ruby-gem gem
application/x-shockwave-flash swf
application/x-vhd vhd
application/x-vhdx vhdx
application/x-virtualbox-ova ova ovf
application/x-vmdk vmdk
application/x-xpinstall xpi
application/x-nuget nupkg
application/x-metalink+xml metalink
application/metalink4+xml meta4

# certificates and keys
application/pkcs8 p8
application/pkcs10 p10 csr
application/pkcs7-mime p7m p7c
application/pkcs7-signature p7s
application/pkix-cert cer
application/pkix-crl crl
application/pkix-pkipath pkipath
application/x-pem-file pem
application/x-pkcs12 p12 pfx
application/x-pkcs7-certificates p7b spc
application/x-x509-ca-cert crt der
application/timestamp-reply tsr
application/timestamp-query tsq

# 3D and chemistry, maps, science
model/3mf 3mf
model/gltf+json gltf
model/gltf-binary glb
model/iges igs iges
model/mtl mtl
model/step step stp
model/stl stl
model/vnd.collada+xml dae
model/vnd.usdz+zip usdz
model/vrml wrl vrml
model/x3d+xml x3d
chemical/x-cif cif
chemical/x-mol mol
chemical/x-pdb ent
chemical/x-xyz xyz
application/mathematica nb ma
application/x-matlab-data mat
application/vnd.wolfram.player nbp
application/x-bibtex bib
application/x-shapefile shp
application/x-protobuf proto pb

# the rest of what servers have always known
application/hyperstudio stk
application/mac-binhex40 hqx
application/mac-compactpro cpt
application/vnd.tcpdump.pcap pcap cap dmp
application/vnd.wap.wbxml wbxml
application/vnd.wap.wmlc wmlc
application/x-bcpio bcpio
application/x-cdlink vcd
application/x-chess-pgn pgn
application/x-cocoa cco
application/x-csh csh
application/x-director dcr dir dxr
application/x-futuresplash spl
application/x-httpd-php-source phps
application/x-java-archive-diff jardiff
application/x-koan skp skd skt skm
application/x-makeself run
application/x-ns-proxy-autoconfig pac
application/x-sea sea
application/x-shar shar
application/x-sv4cpio sv4cpio
application/x-sv4crc sv4crc
application/x-tcl tcl tk
application/x-wais-source src
application/sdp sdp
x-conference/x-cooltalk ice
x-world/x-vrml wrml
`
