// What Swift cannot see of FFmpeg's headers: function-like macros and macros that are no plain literals.
#include <libavcodec/avcodec.h>
#include <libavformat/avformat.h>
#include <libavutil/avutil.h>
#include <libavutil/log.h>
#include <libavutil/opt.h>
#include <libavutil/pixdesc.h>
#include <libavutil/time.h>
#include <libswscale/swscale.h>

static inline int clibav_error_from_errno(int value) { return AVERROR(value); }

static const int clibav_error_end_of_file = AVERROR_EOF;
static const int clibav_error_exit = AVERROR_EXIT;
static const int clibav_error_invalid_data = AVERROR_INVALIDDATA;
static const int clibav_error_protocol_not_found = AVERROR_PROTOCOL_NOT_FOUND;
static const int clibav_error_demuxer_not_found = AVERROR_DEMUXER_NOT_FOUND;
static const int clibav_error_stream_not_found = AVERROR_STREAM_NOT_FOUND;
static const int clibav_error_decoder_not_found = AVERROR_DECODER_NOT_FOUND;
static const int clibav_error_encoder_not_found = AVERROR_ENCODER_NOT_FOUND;
static const int clibav_error_muxer_not_found = AVERROR_MUXER_NOT_FOUND;
static const int clibav_error_option_not_found = AVERROR_OPTION_NOT_FOUND;
static const int clibav_error_patch_welcome = AVERROR_PATCHWELCOME;
static const int clibav_error_http_bad_request = AVERROR_HTTP_BAD_REQUEST;
static const int clibav_error_http_unauthorized = AVERROR_HTTP_UNAUTHORIZED;
static const int clibav_error_http_forbidden = AVERROR_HTTP_FORBIDDEN;
static const int clibav_error_http_not_found = AVERROR_HTTP_NOT_FOUND;
static const int clibav_error_http_other_4xx = AVERROR_HTTP_OTHER_4XX;
static const int clibav_error_http_server_error = AVERROR_HTTP_SERVER_ERROR;

static const int64_t clibav_no_timestamp = AV_NOPTS_VALUE;

// Formats one log line into `line`, cut at `size`; the va_list is used here, once, and by nobody after.
static inline void clibav_format_log_line(void *context, int level, const char *format, va_list arguments, char *line, int size) {
    int print_prefix = 1;
    av_log_format_line2(context, level, format, arguments, line, size, &print_prefix);
}
