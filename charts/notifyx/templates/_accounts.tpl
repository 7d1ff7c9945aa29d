{{/* The ServiceAccounts of pods. Those with "root" and "part" take such a dictionary. */}}

{{/* The name of a part's ServiceAccount: the chart's, or one that is there already. */}}
{{- define "notifyx.account" -}}
{{ (index .root.Values .part).serviceAccount.name | default (include "notifyx.name" .) }}
{{- end -}}

{{- define "notifyx.serviceAccount" -}}
{{- $own := (index .root.Values .part).serviceAccount -}}
{{- if $own.create }}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "notifyx.metadata" (dict "root" .root "part" .part "name" (include "notifyx.account" .) "annotations" $own.annotations) | nindent 2 }}
automountServiceAccountToken: false
{{- end }}
{{- end -}}

{{/*
ServiceAccounts that pods use, and that neither this release makes nor the cluster has: "missing" has by name the value
that names it. "known" is false where the cluster cannot be asked (helm template), or the namespace is not there yet.
*/}}
{{- define "notifyx.missingAccounts" -}}
{{- $found := dict -}}
{{- $made := list -}}
{{- range $part := list "gateway" "auth" "store" "mailer" "operator" -}}
{{- $name := include "notifyx.account" (dict "root" $ "part" $part) -}}
{{- if (index $.Values $part).serviceAccount.create }}{{ $made = append $made $name }}
{{- else }}{{ $_ := set $found $name (printf "%s.serviceAccount.name" $part) }}{{ end -}}
{{- end -}}
{{- range tpl (toYaml .Values.extraObjects) . | fromYamlArray -}}
{{- if eq (toString .kind) "ServiceAccount" }}{{ $made = append $made .metadata.name }}{{ end -}}
{{- end -}}
{{- $there := dict "postgres" (include "notifyx.postgres" .) "memcached" (include "notifyx.memcached" .) -}}
{{- range $part := list "mailbox" "prometheus" "backup" -}}
{{- $_ := set $there $part (index $.Values $part).enabled -}}
{{- end -}}
{{- range $part, $yes := $there -}}
{{- with (index $.Values $part).serviceAccountName -}}
{{- if $yes }}{{ $_ := set $found . (printf "%s.serviceAccountName" $part) }}{{ end -}}
{{- end -}}
{{- end -}}
{{- range $made }}{{ $_ := unset $found . }}{{ end -}}
{{- $items := list -}}
{{- if $found }}{{ $items = (lookup "v1" "ServiceAccount" .Release.Namespace "").items | default list }}{{ end -}}
{{- range $items }}{{ $_ := unset $found .metadata.name }}{{ end -}}
{{- toYaml (dict "missing" $found "known" (not (empty $items))) -}}
{{- end -}}
