package page

import (
	"net/http"
)

// loginBody asks for a token.
type loginBody struct{ Problem string }

// Login renders the page that asks for a token. It shows nothing of the cluster.
func (p *Pages) Login(w http.ResponseWriter, r *http.Request, problem string) {
	v := &visit{Request: r, w: w, now: p.Now()}
	p.render(v, http.StatusUnauthorized, "login", frame{Title: "Log in", Body: loginBody{Problem: problem}})
}
