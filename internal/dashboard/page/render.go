package page

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"imagecache.dev/internal/dashboard/access"
	"imagecache.dev/internal/dashboard/asset"
	"imagecache.dev/internal/dashboard/store"
	"imagecache.dev/internal/display"
)

//go:embed template
var sources embed.FS

// templates are the pages by name. Each is the layout with a body of its own.
var templates = parse("error", "login", "working", "savings", "requests", "request", "projects", "images", "image",
	"confirm", "renewal", "toggle")

func parse(names ...string) map[string]*template.Template {
	functions := template.FuncMap{
		"age":       func(at, now time.Time) string { return display.Age(&at, now) },
		"agePtr":    display.Age,
		"until":     display.Until,
		"size":      display.Size,
		"seconds":   display.Seconds,
		"utc":       func(at time.Time) string { return at.UTC().Format("2006-01-02 15:04:05 UTC") },
		"iso":       func(at time.Time) string { return at.UTC().Format(time.RFC3339) },
		"short":     short,
		"words":     words,
		"json":      encode,
		"secondsOf": func(seconds int64) string { return display.Seconds(&seconds) },
		"filterOf":  formOf,
		"percent":   func(rate float64) string { return fmt.Sprintf("%.0f %%", 100*rate) },
	}
	parsed := map[string]*template.Template{}
	for _, name := range names {
		parsed[name] = template.Must(template.New("layout.html").Funcs(functions).ParseFS(
			sources, "template/layout.html", "template/part.html", "template/"+name+".html",
		))
	}
	return parsed
}

// form is what the template of a list's filter shows. Keep are values that the form carries along.
type form struct {
	Path string
	List any
	Keep map[string]any
}

// formOf returns the form of a list on a page. keep are names and values, in turn.
func formOf(f frame, list any, keep ...any) form {
	made := form{Path: f.Path, List: list, Keep: map[string]any{}}
	for i := 0; i+1 < len(keep); i += 2 {
		made.Keep[fmt.Sprint(keep[i])] = keep[i+1]
	}
	return made
}

// words writes a reason of the API, such as WaitingForBuilder, as words.
func words(reason string) string {
	letters := []rune(reason)
	var text strings.Builder
	for i, letter := range letters {
		begins := i > 0 && unicode.IsUpper(letter) &&
			(!unicode.IsUpper(letters[i-1]) || i+1 < len(letters) && unicode.IsLower(letters[i+1]))
		if begins {
			text.WriteByte(' ')
		}
		text.WriteRune(unicode.ToLower(letter))
	}
	return text.String()
}

// short returns the first characters of a hash or digest, as tables show them.
func short(text string) string {
	const most = 12
	text = strings.TrimPrefix(text, "sha256:")
	if len(text) > most {
		return text[:most]
	}
	return text
}

func encode(value any) (string, error) {
	content, err := json.Marshal(value)
	return string(content), err
}

// frame is what the layout shows around a page's body.
type frame struct {
	Title string
	// Active is the entry of the navigation, and Live the event of the store that renews the page; "" for none.
	Active, Live string
	Body         any

	// The rest is set by render.
	Base, Asset, Viewer, Scope, Path, Address, Since string
	ReadOnly, Sessions                               bool
	Loading, Problems                                []string
	Done                                             string
	Now                                              time.Time
}

// done are the sentences after a change, by the word in the address.
var done = map[string]string{
	"evicted":     "The manager was asked to remove the image. It disappears from this list when it is gone.",
	"invalidated": "Images that were published before that time count as absent from now on. The manager removes them.",
	"enabled":     "The cache is on. Environments look images up, pull and publish.",
	"disabled":    "The cache is off. Environments pull and publish nothing; cached images stay until they expire.",
}

// render writes a page.
func (p *Pages) render(v *visit, status int, name string, f frame) {
	f.Base, f.Asset, f.Now = p.Base, p.Base+"asset/"+asset.Version+"/", v.now
	f.ReadOnly, f.Sessions, f.Since = p.ReadOnly, p.Sessions, v.since
	if v.viewer != nil {
		f.Viewer, f.Scope = v.viewer.Name(), display.Or(p.Namespace, "all namespaces")
	}
	f.Done = done[v.URL.Query().Get("done")]
	f.Path = p.Base + strings.TrimPrefix(v.URL.Path, "/")
	f.Address = addressOf(f.Path, v.URL.Query())
	if v.viewer != nil {
		f.Loading, f.Problems = p.progress(v)
		if len(f.Loading) > 0 && f.Live == "" { // what is shown now is a part
			f.Live = "requests"
		}
	}
	var page bytes.Buffer
	if err := templates[name].Execute(&page, f); err != nil {
		http.Error(v.w, "The page could not be made: "+err.Error(), http.StatusInternalServerError)
		return
	}
	v.w.Header().Set("Content-Type", "text/html; charset=utf-8")
	v.w.WriteHeader(status)
	_, _ = v.w.Write(page.Bytes())
}

// addressOf is a page's own address, without what it did.
func addressOf(path string, query url.Values) string {
	query.Del("done")
	if len(query) == 0 {
		return path
	}
	return path + "?" + query.Encode()
}

// progress tells what is still being read, and what can't be read. How much was read is for those who may list it.
func (p *Pages) progress(v *visit) (loading, problems []string) {
	for _, kind := range []struct {
		name, resource string
		state          store.State
	}{
		{"runners", access.Runners, p.Store.Runners.State()},
		{"projects", access.Projects, p.Store.Projects.State()},
		{"requests", access.Requests, p.Store.Requests.State()},
	} {
		if kind.state.Problem != nil {
			problems = append(problems, fmt.Sprintf("The %s can't be read: %v.", kind.name, kind.state.Problem))
			continue
		}
		if kind.state.Loaded {
			continue
		}
		text := "Reading " + kind.name + "."
		whole := access.Right{Verb: "list", Resource: kind.resource, Namespace: p.Namespace}
		if may, err := v.viewer.May(v.Context(), whole); err == nil && may {
			text = fmt.Sprintf("Reading %s, %d so far.", kind.name, kind.state.Count)
		}
		loading = append(loading, text)
	}
	return loading, problems
}
