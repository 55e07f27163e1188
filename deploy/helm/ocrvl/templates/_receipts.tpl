{{- /* What a worker and a front end of the pipeline share; `.part` is `worker` or `front`, `.root` the chart's scope. */ -}}
{{- define "ocrvl.receiptsPod" -}}
{{- $values := .root.Values.receipts -}}
{{- $authorities := and (eq .part "worker") .root.Values.tls.secretName (not .root.Values.tls.systemAuthorities) -}}
serviceAccountName: {{ include "ocrvl.serviceAccount" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ add (int .root.Values.shutdown.preStop) (int .root.Values.shutdown.exit) 20 }}
securityContext: {{ include "ocrvl.podSecurity" .root | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets: {{ toYaml . | nindent 2 }}
{{- end }}
containers:
  - name: {{ .part }}
    image: {{ include "ocrvl.image" .root }}
    imagePullPolicy: {{ .root.Values.image.pullPolicy }}
    command: [ocrvl]
    args: [receipts, {{ .part }}]
    securityContext: {{ include "ocrvl.containerSecurity" .root | nindent 6 }}
    env:
      - {name: HOME, value: /tmp}
      - {name: OCRVL_RECEIPTS_BROKERS, value: {{ join "," $values.brokers | quote }}}
      - {name: OCRVL_RECEIPTS_TOPIC_PREFIX, value: {{ $values.topicPrefix | quote }}}
      - {name: OCRVL_RECEIPTS_PARTITIONS, value: {{ int $values.partitions | quote }}}
      {{- with $values.store.endpoint }}
      - {name: OCRVL_RECEIPTS_ENDPOINT, value: {{ . | quote }}}
      {{- end }}
      - {name: OCRVL_RECEIPTS_REGION, value: {{ $values.store.region | quote }}}
      - {name: OCRVL_RECEIPTS_BUCKETS, value: {{ join "," $values.store.buckets | quote }}}
      - {name: OCRVL_RECEIPTS_RESULTS_BUCKET, value: {{ $values.store.resultsBucket | quote }}}
      - {name: OCRVL_RECEIPTS_DRAIN_TIMEOUT, value: {{ int .root.Values.shutdown.exit | quote }}}
      {{- if $values.kafkaPropertiesSecret }}
      - {name: OCRVL_RECEIPTS_KAFKA_PROPERTIES, value: /kafka/kafka.properties}
      {{- end }}
      {{- if eq .part "worker" }}
      - {name: OCRVL_RECEIPTS_SERVER, value: "{{ include "ocrvl.fullname" .root }}-pods:8001"}
      - {name: OCRVL_RECEIPTS_GROUP, value: {{ include "ocrvl.receiptsGroup" .root | quote }}}
      - {name: OCRVL_RECEIPTS_CONCURRENCY, value: {{ int $values.worker.concurrency | quote }}}
      - {name: OCRVL_RECEIPTS_WINDOW, value: {{ int $values.worker.window | quote }}}
      - {name: OCRVL_RECEIPTS_METRICS_HOST, value: 0.0.0.0}
      {{- if .root.Values.tls.secretName }}
      - {name: OCRVL_RECEIPTS_TLS, value: "true"}
      {{- end }}
      {{- if $authorities }}
      - {name: OCRVL_RECEIPTS_CA, value: /tls/ca.crt}
      {{- end }}
      {{- else }}
      - {name: OCRVL_RECEIPTS_HOST, value: 0.0.0.0}
      {{- with $values.front.publicEndpoint }}
      - {name: OCRVL_RECEIPTS_PUBLIC_ENDPOINT, value: {{ . | quote }}}
      {{- end }}
      {{- with $values.front.apiKeysSecret }}
      - {name: OCRVL_RECEIPTS_API_KEYS, valueFrom: {secretKeyRef: {name: {{ . }}, key: api-keys}}}
      {{- end }}
      {{- end }}
      {{- with $values.env }}
      {{- toYaml . | nindent 6 }}
      {{- end }}
    {{- with $values.store.secretName }}
    envFrom: [{secretRef: {name: {{ . }}}}]
    {{- end }}
    {{- if eq .part "worker" }}
    ports: [{name: metrics, containerPort: 9464}]
    startupProbe: {httpGet: {path: /metrics, port: metrics}, periodSeconds: 2, failureThreshold: 30}
    livenessProbe: {httpGet: {path: /metrics, port: metrics}, periodSeconds: 20, timeoutSeconds: 5}
    {{- else }}
    ports: [{name: http, containerPort: 8090}]
    startupProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 2, failureThreshold: 30}
    readinessProbe: {httpGet: {path: /readyz, port: http}, periodSeconds: 5, timeoutSeconds: 5}
    livenessProbe: {httpGet: {path: /healthz, port: http}, periodSeconds: 20, timeoutSeconds: 5}
    lifecycle:
      preStop: {sleep: {seconds: {{ int .root.Values.shutdown.preStop }}}}
    {{- end }}
    resources: {{ toYaml (get $values .part).resources | nindent 6 }}
    volumeMounts:
      - {name: tmp, mountPath: /tmp}
      {{- if $values.kafkaPropertiesSecret }}
      - {name: kafka, mountPath: /kafka, readOnly: true}
      {{- end }}
      {{- if $authorities }}
      - {name: tls, mountPath: /tls, readOnly: true}
      {{- end }}
volumes:
  - {name: tmp, emptyDir: {sizeLimit: 1Gi}}
  {{- with $values.kafkaPropertiesSecret }}
  - name: kafka
    secret: {secretName: {{ . }}, items: [{key: kafka.properties, path: kafka.properties}]}
  {{- end }}
  {{- if $authorities }}
  - name: tls
    secret: {secretName: {{ .root.Values.tls.secretName }}, items: [{key: ca.crt, path: ca.crt}]}
  {{- end }}
{{- end -}}

{{- define "ocrvl.receiptsGroup" -}}
{{ include "ocrvl.fullname" . }}-receipts
{{- end -}}
