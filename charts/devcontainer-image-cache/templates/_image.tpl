{{/* The reference of the manager's image. */}}
{{- define "imagecache.image" -}}
{{- $image := .Values.image -}}
{{- if not $image.repository -}}
{{- fail "image.repository is empty: set it to where \"make images\" pushed the manager (such as --set image.repository=REGISTRY/imagecache/manager), or use the chart that \"make release\" packages, which has it set" -}}
{{- end -}}
{{- if hasPrefix "ko://" $image.repository -}}
{{- $image.repository -}}
{{- else if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end }}

{{/* The reference of the dashboard's image, which is that of the program imagecache. */}}
{{- define "imagecache.dashboardImage" -}}
{{- $image := .Values.dashboard.image -}}
{{- if not $image.repository -}}
{{- fail "dashboard.image.repository is empty: set it to where \"make images\" pushed imagecache (such as --set dashboard.image.repository=REGISTRY/imagecache/imagecache), or use the chart that \"make release\" packages, which has it set" -}}
{{- end -}}
{{- if hasPrefix "ko://" $image.repository -}}
{{- $image.repository -}}
{{- else if $image.digest -}}
{{- printf "%s@%s" $image.repository $image.digest -}}
{{- else -}}
{{- printf "%s:%s" $image.repository (default .Chart.AppVersion $image.tag) -}}
{{- end -}}
{{- end }}
