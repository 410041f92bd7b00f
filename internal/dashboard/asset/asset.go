// Package asset holds the scripts and styles of the dashboard's pages. hack/dashboard-assets.sh copies the folder
// vendor from pinned npm packages.
package asset

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed app.js style.css icon.svg vendor
var files embed.FS

// types are the media types of what is served. The machine's own table may lack or change them.
var types = map[string]string{
	".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml",
}

// Version changes when a file does. Pages have it in the addresses of files, so that browsers may keep them.
var Version = version()

func version() string {
	sum := sha256.New()
	_ = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			content, _ := files.ReadFile(name)
			_, _ = sum.Write(content)
		}
		return nil
	})
	return hex.EncodeToString(sum.Sum(nil))[:12]
}

// Serve answers with the file of a name.
func Serve(w http.ResponseWriter, r *http.Request, name string) {
	kind := types[path.Ext(name)]
	content, err := files.ReadFile(strings.TrimPrefix(path.Clean("/"+name), "/"))
	if err != nil || kind == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "private, max-age=86400")
	_, _ = w.Write(content)
}
